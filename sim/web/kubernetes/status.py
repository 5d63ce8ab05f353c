"""Kubernetes' way to say no: a Status object, in the words that kubectl's users know.

Imitates k8s.io/apimachinery (pkg/api/errors and pkg/util/validation/field): reasons, codes and messages.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sim.manifests.document import Path, path_text

MERGE_CONFLICT = "the object has been modified; please apply your changes to the latest version and try again"


@dataclass(frozen=True, slots=True)
class Cause:
    """One field that is wrong. `reason` is Kubernetes' word for the sort of mistake, `message` lacks the field."""

    field: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"

    def as_json(self) -> dict[str, Any]:
        return {"reason": self.reason, "message": self.message, "field": self.field}


class ApiError(Exception):
    """Answered as a Status with `code`. `details` is the Status' own."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def as_json(self) -> dict[str, Any]:
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


def success(details: dict[str, Any]) -> dict[str, Any]:
    """The answer to a deletion that leaves nothing to show."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


# -- requests ----------------------------------------------------------------------------------------------------


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(message: str, group: str = "", plural: str = "", name: str = "") -> ApiError:
    """`message` alone where it is about no object; else `<plural>.<group> "<name>" is forbidden: <message>`."""
    if not plural:
        return ApiError(403, "Forbidden", f"forbidden: {message}", {})
    details = _details(group, plural, name)
    return ApiError(403, "Forbidden", f'{_qualified(plural, group)} "{name}" is forbidden: {message}', details)


def no_such_resource() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def not_acceptable(known: Sequence[str]) -> ApiError:
    return ApiError(406, "NotAcceptable", f"only the following media types are accepted: {', '.join(known)}")


def unsupported_media_type(known: Sequence[str]) -> ApiError:
    return ApiError(
        415,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format - accepted media types include: {', '.join(known)}",
    )


def expired(oldest: int, asked: int) -> ApiError:
    return ApiError(410, "Expired", f"too old resource version: {asked} ({oldest})")


def internal(message: str) -> ApiError:
    return ApiError(500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]})


# -- objects -----------------------------------------------------------------------------------------------------


def not_found(group: str, plural: str, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{_qualified(plural, group)} "{name}" not found', _details(group, plural, name))


def already_exists(group: str, plural: str, name: str) -> ApiError:
    return ApiError(
        409, "AlreadyExists", f'{_qualified(plural, group)} "{name}" already exists', _details(group, plural, name)
    )


def conflict(group: str, plural: str, name: str, why: str = MERGE_CONFLICT) -> ApiError:
    return ApiError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {_qualified(plural, group)} "{name}": {why}',
        _details(group, plural, name),
    )


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """422. One cause stands behind the object's name, several in brackets."""
    said = str(causes[0]) if len(causes) == 1 else "[" + ", ".join(str(cause) for cause in causes) + "]"
    details = _details(group, kind, name)
    details["causes"] = [cause.as_json() for cause in causes]
    return ApiError(422, "Invalid", f'{_qualified(kind, group)} "{name}" is invalid: {said}', details)


def _qualified(what: str, group: str) -> str:
    return f"{what}.{group}" if group else what


def _details(group: str, kind: str, name: str) -> dict[str, Any]:
    return {key: value for key, value in (("name", name), ("group", group), ("kind", kind)) if value}


# -- fields ------------------------------------------------------------------------------------------------------


def required(path: Path, detail: str = "") -> Cause:
    return Cause(_field(path), "FieldValueRequired", "Required value" + (f": {detail}" if detail else ""))


def invalid_value(path: Path, value: Any, detail: str) -> Cause:
    return Cause(_field(path), "FieldValueInvalid", f"Invalid value: {shown(value)}: {detail}")


def wrong_type(path: Path, value: Any, expected: str, actual: str) -> Cause:
    """As a CustomResourceDefinition's schema says it: by the type's name in place of the value."""
    field = _field(path)
    return Cause(
        field,
        "FieldValueTypeInvalid",
        f'Invalid value: "{actual}": {field} in body must be of type {expected}: "{actual}"',
    )


def not_supported(path: Path, value: Any, supported: Sequence[str]) -> Cause:
    known = ", ".join(shown(one) for one in supported)
    return Cause(
        _field(path), "FieldValueNotSupported", f"Unsupported value: {shown(value)}: supported values: {known}"
    )


def field_forbidden(path: Path, detail: str) -> Cause:
    return Cause(_field(path), "FieldValueForbidden", f"Forbidden: {detail}")


def duplicate(path: Path, value: Any) -> Cause:
    return Cause(_field(path), "FieldValueDuplicate", f"Duplicate value: {shown(value)}")


def shown(value: Any) -> str:
    """A value as Go's `%#v` and JSON have it: strings in quotes, whole structures as JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _field(path: Path) -> str:
    return path_text(path) or "<nil>"
