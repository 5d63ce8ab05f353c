"""Error bodies of the OCI distribution specification 1.1 (spec.md, Error Codes)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum

from aiohttp import web


class ErrorCode(Enum):
    """A code of the specification, which knows no other, with the status it is usually answered with."""

    BLOB_UNKNOWN = (404, "blob unknown to registry")
    BLOB_UPLOAD_INVALID = (400, "blob upload invalid")
    BLOB_UPLOAD_UNKNOWN = (404, "blob upload unknown to registry")
    DENIED = (403, "requested access to the resource is denied")
    DIGEST_INVALID = (400, "provided digest did not match uploaded content")
    MANIFEST_BLOB_UNKNOWN = (400, "manifest references a manifest or blob unknown to registry")
    MANIFEST_INVALID = (400, "manifest invalid")
    MANIFEST_UNKNOWN = (404, "manifest unknown to registry")
    NAME_INVALID = (400, "invalid repository name")
    NAME_UNKNOWN = (404, "repository name not known to registry")
    SIZE_INVALID = (400, "provided length did not match content length")
    TOOMANYREQUESTS = (429, "too many requests")
    UNAUTHORIZED = (401, "authentication required")
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
        *details: str,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code.meaning)
        self.code = code
        self.details = details
        self.status = status or code.status
        self.headers = headers or {}

    def response(self) -> web.Response:
        return error_response(self.code, *self.details, status=self.status, headers=self.headers)


def not_allowed(*methods: str) -> RegistryError:
    """The error for another method than these; it names them, as RFC 9110 (15.5.6) asks for."""
    return RegistryError(ErrorCode.UNSUPPORTED, headers={"Allow": ", ".join(methods)})


def error_response(
    code: ErrorCode,
    *details: str,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """The response that reports one error for each detail: `{"errors": [{"code", "message", "detail"?}]}`."""
    error = {"code": code.name, "message": code.meaning}
    errors = [{**error, "detail": detail} for detail in details] or [error]
    return web.Response(
        status=status or code.status,
        headers=headers,
        body=json.dumps({"errors": errors}).encode(),
        content_type="application/json",
    )
