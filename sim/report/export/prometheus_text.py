"""Prometheus' text format, version 0.0.4: families rendered, and pages of others read and merged in.

Source: Prometheus documentation, Exposition formats. All samples of a family stand together, below one TYPE.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(r'\s*(?P<key>[a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"(?P<value>(?:[^"\\]|\\.)*)"\s*(?:,|$)')
_SAMPLE = re.compile(rf'(?P<name>{_NAME})(?:\{{(?P<labels>(?:[^"}}]|"(?:[^"\\]|\\.)*")*)\}})?\s+(?P<value>\S.*)')
_COMMENT = re.compile(rf"#\s+(?P<kind>TYPE|HELP)\s+(?P<name>{_NAME})(?:\s+(?P<text>.*))?")
#: What the samples of a histogram or a summary have behind the family's name.
_SUFFIXES = ("_bucket", "_sum", "_count")


@dataclass(slots=True)
class Family:
    """One metric. `samples` maps a sample's name and its labels, as they are written, to its value."""

    name: str
    kind: str = "untyped"
    help: str = ""
    samples: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, value: float, labels: Mapping[str, object] | None = None, suffix: str = "") -> None:
        self.samples[self.name + suffix, _written(labels or {})] = number(value)

    def lines(self) -> Iterator[str]:
        """Nothing for a family without a sample."""
        if not self.samples:
            return
        if self.help:
            yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for (name, labels), value in self.samples.items():
            yield f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"


class Count:
    """A counter by its labels. A label whose value is empty is left out, as Prometheus takes the two for the same."""

    def __init__(self, name: str, told: str, *labels: str) -> None:
        self._name = name
        self._told = told
        self._labels = labels
        self._counts: Counter[tuple[str, ...]] = Counter()

    def add(self, *values: str, by: int = 1) -> None:
        """`values` are those of the labels, in their order."""
        self._counts[values] += by

    def family(self) -> Family:
        family = Family(self._name, "counter", self._told)
        for values, count in sorted(self._counts.items()):
            family.add(count, {label: value for label, value in zip(self._labels, values, strict=True) if value})
        return family


@dataclass(slots=True)
class Histogram:
    """Counts of values by upper bound. `bounds` ascend; `+Inf` is added."""

    bounds: tuple[float, ...]
    total: float = 0.0
    _counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        position = next((n for n, bound in enumerate(self.bounds) if value <= bound), len(self.bounds))
        self._counts[position] += 1
        self.total += value

    def render(self, family: Family, labels: Mapping[str, object] | None = None) -> None:
        """Add its samples, if it has counted anything."""
        below = 0
        if not any(self._counts):
            return
        for bound, count in zip((*self.bounds, float("inf")), self._counts, strict=True):
            below += count
            family.add(below, {**(labels or {}), "le": number(bound)}, "_bucket")
        family.add(self.total, labels, "_sum")
        family.add(below, labels, "_count")


def number(value: float) -> str:
    """`3`, `0.25`, `+Inf`."""
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def escaped(value: str) -> str:
    """A label's value, as it stands between quotes."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def parse(text: str, labels: Mapping[str, str] | None = None) -> list[Family]:
    """The families of a page, each sample with these labels besides.

    A label of the page under one of their names becomes `exported_…`, as Prometheus itself does it. Lines that are no
    samples are left out: a page of an error has no metrics.
    """
    families: dict[str, Family] = {}
    for line in text.split("\n"):
        comment = _COMMENT.fullmatch(line.strip())
        if comment is not None:
            family = families.setdefault(comment["name"], Family(comment["name"]))
            if comment["kind"] == "TYPE":
                family.kind = (comment["text"] or "untyped").strip()
            else:
                family.help = comment["text"] or ""
            continue
        sample = _SAMPLE.fullmatch(line.strip())
        written = _labelled(sample["labels"] or "", labels or {}) if sample is not None else None
        if sample is None or written is None or not _is_value(sample["value"]):
            continue
        name = sample["name"]
        family = families.get(_family_of(name, families)) or families.setdefault(name, Family(name))
        family.samples.setdefault((name, written), sample["value"])
    return list(families.values())


def merged(families: Iterable[Family]) -> str:
    """One page of them all: those of one name become one, of whose samples under the same labels the first stays."""
    found: dict[str, Family] = {}
    for family in families:
        known = found.setdefault(family.name, Family(family.name, family.kind, family.help))
        if known.kind == "untyped":
            known.kind = family.kind
        known.help = known.help or family.help
        for key, value in family.samples.items():
            known.samples.setdefault(key, value)
    return "".join(f"{line}\n" for family in found.values() for line in family.lines())


def _family_of(sample: str, families: Mapping[str, Family]) -> str:
    for suffix in _SUFFIXES:
        base = sample.removesuffix(suffix)
        if base != sample and base in families and families[base].kind in ("histogram", "summary"):
            return base
    return sample


def _labelled(written: str, more: Mapping[str, str]) -> str | None:
    """The labels of a sample and some more; None for what are no labels."""
    pairs, position = [], 0
    while position < len(written.rstrip()):
        found = _LABEL.match(written, position)
        if found is None:
            return None
        key = f"exported_{found['key']}" if found["key"] in more else found["key"]
        pairs.append(f'{key}="{found["value"]}"')
        position = found.end()
    return ",".join([*(f'{key}="{escaped(value)}"' for key, value in more.items()), *pairs])


def _written(labels: Mapping[str, object]) -> str:
    return ",".join(f'{key}="{escaped(str(value))}"' for key, value in labels.items())


def _is_value(text: str) -> bool:
    """A number, and a timestamp or nothing."""
    words = text.split()
    try:
        float(words[0])
        return len(words) == 1 or (len(words) == 2 and int(words[1]) is not None)
    except ValueError:
        return False
