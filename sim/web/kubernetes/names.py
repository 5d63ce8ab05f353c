"""What objects, labels and annotations may be called, in the API server's words.

Follows k8s.io/apimachinery (pkg/api/validation/objectmeta.go, pkg/util/validation).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sim.web.kubernetes.resources import NAMESPACES, SERVICES, Resource
from sim.web.kubernetes.status import Cause, invalid_value, required

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = _LABEL + r"(\." + _LABEL + ")*"
_SERVICE = "[a-z]([-a-z0-9]*[a-z0-9])?"
_NAME_PART = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_NAME_PART})?"


def _regex_words(what: str, pattern: str, *examples: str) -> str:
    said = ",  or ".join(f"'{example}'" for example in examples)
    return f"{what} (e.g. {said}, regex used for validation is '{pattern}')"


SUBDOMAIN_WORDS = _regex_words(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character",
    SUBDOMAIN,
    "example.com",
)
_LABEL_WORDS = _regex_words(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character",
    _LABEL,
    "my-name",
    "123-abc",
)
_SERVICE_WORDS = _regex_words(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character",
    _SERVICE,
    "my-name",
    "abc-123",
)
_NAME_PART_WORDS = _regex_words(
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    _NAME_PART,
    "MyName",
    "my.name",
    "123-abc",
)
_QUALIFIED_WORDS = (
    f"a qualified name {_NAME_PART_WORDS} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)
_LABEL_VALUE_WORDS = _regex_words(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character",
    _LABEL_VALUE,
    "MyValue",
    "my_value",
    "12345",
)


def metadata_causes(metadata: dict[str, Any], resource: Resource) -> Iterator[Cause]:
    """What is wrong with an object's name, labels and annotations."""
    name = metadata.get("name") or ""
    if not name:
        yield required(("metadata", "name"), "name or generateName is required")
    elif (problem := name_problem(name, resource)) is not None:
        yield invalid_value(("metadata", "name"), name, problem)
    for key, value in (metadata.get("labels") or {}).items():
        for why in _key_problems(key):
            yield invalid_value(("metadata", "labels"), key, why)
        if len(value) > 63:
            yield invalid_value(("metadata", "labels"), value, "must be no more than 63 characters")
        elif re.fullmatch(_LABEL_VALUE, value) is None:
            yield invalid_value(("metadata", "labels"), value, _LABEL_VALUE_WORDS)
    for key in metadata.get("annotations") or {}:
        for why in _key_problems(key.lower()):
            yield invalid_value(("metadata", "annotations"), key, why)


def name_problem(name: str, resource: Resource) -> str | None:
    """Why an object of this resource can't have the name; None if it can."""
    if resource is NAMESPACES and "." in name:
        return "must not contain dots"
    pattern, words, longest = SUBDOMAIN, SUBDOMAIN_WORDS, 253
    if resource is NAMESPACES:
        pattern, words, longest = _LABEL, _LABEL_WORDS, 63
    elif resource is SERVICES:
        pattern, words, longest = _SERVICE, _SERVICE_WORDS, 63
    if len(name) > longest:
        return f"must be no more than {longest} characters"
    return None if re.fullmatch(pattern, name) else words


def _key_problems(key: str) -> Iterator[str]:
    prefix, slash, name = key.rpartition("/")
    if slash and "/" in prefix:
        yield _QUALIFIED_WORDS
        return
    if slash and (not prefix or re.fullmatch(SUBDOMAIN, prefix) is None):
        yield f"prefix part {SUBDOMAIN_WORDS if prefix else 'must be non-empty'}"
    if not name:
        yield "name part must be non-empty"
    elif len(name) > 63:
        yield "name part must be no more than 63 characters"
    if re.fullmatch(_NAME_PART, name) is None:
        yield f"name part {_NAME_PART_WORDS}"
