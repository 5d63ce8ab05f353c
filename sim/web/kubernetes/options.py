"""What a request asks for beside its path: the query of a write, and the representation it accepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sim.web.kubernetes.status import Cause, invalid, not_acceptable, not_supported, required

Validation = Literal["Ignore", "Warn", "Strict"]
Form = Literal["object", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"]

#: Of answers; a body may also be protobuf.
MEDIA_TYPES = ("application/json", "application/yaml")
_VALIDATIONS: tuple[Validation, ...] = ("Ignore", "Strict", "Warn")
_MANAGER_LENGTH = 128


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """`manager` is who changes the object, by `fieldManager` or else by the client's name."""

    manager: str
    dry_run: bool = False
    validation: Validation = "Warn"
    force: bool = False


def write_options(query: Mapping[str, str], dry_runs: Sequence[str], user_agent: str, kind: str) -> WriteOptions:
    """Raises ApiError, 422; `kind` is `CreateOptions`, `UpdateOptions` or `PatchOptions`."""
    causes: list[Cause] = []
    _check_dry_run(dry_runs, causes)
    validation = query.get("fieldValidation") or "Warn"
    if validation not in _VALIDATIONS:
        causes.append(not_supported(("fieldValidation",), validation, ("", *_VALIDATIONS)))
    manager = query.get("fieldManager", "")
    if len(manager) > _MANAGER_LENGTH:
        causes.append(
            Cause("fieldManager", "FieldValueTooLong", f"Too long: may not be more than {_MANAGER_LENGTH} bytes")
        )
    if causes:
        raise invalid("meta.k8s.io", kind, "", causes)
    known: Validation = next(word for word in _VALIDATIONS if word == validation)
    by_default = user_agent.partition("/")[0][:_MANAGER_LENGTH] or "unknown"
    return WriteOptions(manager or by_default, bool(dry_runs), known, query.get("force", "") in ("true", "1"))


def check_apply_options(query: Mapping[str, str]) -> None:
    """A server-side apply has to say who applies. Raises ApiError, 422."""
    if not query.get("fieldManager"):
        cause = required(("fieldManager",), "is required for apply patch")
        raise invalid("meta.k8s.io", "PatchOptions", "", [cause])


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer's form, and the media type of its text."""

    form: Form
    media_type: str


def accepted(header: str) -> Accepted:
    """The first of the accepted representations that is known. Raises ApiError, 406."""
    for wanted in header.split(",") if header.strip() else ["*/*"]:
        media_type, *parameters = (part.strip() for part in wanted.split(";"))
        media_type = "application/json" if media_type in ("*/*", "application/*") else media_type
        if media_type not in MEDIA_TYPES:
            continue
        given = dict(parameter.partition("=")[::2] for parameter in parameters)
        if "as" not in given:
            return Accepted("object", media_type)
        if given.get("g") == "meta.k8s.io" and given.get("v") in ("v1", "v1beta1"):
            for form in _FORMS:
                if given["as"] == form:
                    return Accepted(form, media_type)
    raise not_acceptable(MEDIA_TYPES)


_FORMS: tuple[Form, ...] = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


def _check_dry_run(dry_runs: Sequence[str], causes: list[Cause]) -> None:
    if dry_runs and list(dry_runs) != ["All"]:
        shown = "[]string{" + ", ".join(f'"{word}"' for word in dry_runs) + "}"
        cause = not_supported(("dryRun",), "", ("All",))
        message = f'Unsupported value: {shown}: supported values: "All"'
        causes.append(Cause(cause.field, cause.reason, message))
