"""Error bodies of the OCI distribution specification 1.1 (spec.md, Error Codes)."""

from __future__ import annotations

import json
from enum import Enum

from aiohttp import web


class ErrorCode(Enum):
    """A code, with the status it is answered with and what it means."""

    BLOB_UNKNOWN = (404, "blob unknown to registry")
    BLOB_UPLOAD_INVALID = (400, "blob upload invalid")
    BLOB_UPLOAD_UNKNOWN = (404, "blob upload unknown to registry")
    DENIED = (403, "requested access to the resource is denied")
    DIGEST_INVALID = (400, "provided digest did not match uploaded content")
    MANIFEST_BLOB_UNKNOWN = (404, "manifest references a manifest or blob unknown to registry")
    MANIFEST_INVALID = (400, "manifest invalid")
    MANIFEST_UNKNOWN = (404, "manifest unknown to registry")
    NAME_INVALID = (400, "invalid repository name")
    NAME_UNKNOWN = (404, "repository name not known to registry")
    PAGINATION_NUMBER_INVALID = (400, "invalid number of results requested")
    RANGE_INVALID = (416, "invalid content range")
    SIZE_INVALID = (400, "provided length did not match content length")
    TOOMANYREQUESTS = (429, "too many requests")
    UNAUTHORIZED = (401, "authentication required")
    UNKNOWN = (500, "unknown error")
    UNSUPPORTED = (405, "the operation is unsupported")

    @property
    def status(self) -> int:
        return self.value[0]

    @property
    def meaning(self) -> str:
        return self.value[1]


class RegistryError(Exception):
    """Ends a request with an error body; raised by the registry's own handlers only."""

    def __init__(
        self,
        code: ErrorCode,
        detail: str | None = None,
        *,
        status: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(code.meaning)
        self.code = code
        self.detail = detail
        self.status = status or code.status
        self.headers = headers or {}

    def response(self) -> web.Response:
        return error_response(self.code, self.detail, status=self.status, headers=self.headers)


def error_response(
    code: ErrorCode,
    detail: str | None = None,
    *,
    status: int | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """The response that reports one error: `{"errors": [{"code", "message", "detail"?}]}`."""
    error = {"code": code.name, "message": code.meaning}
    if detail is not None:
        error["detail"] = detail
    return web.Response(
        status=status or code.status,
        headers=headers,
        body=json.dumps({"errors": [error]}).encode(),
        content_type="application/json",
    )
