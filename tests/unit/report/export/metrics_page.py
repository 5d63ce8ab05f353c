"""A strict reader of Prometheus' text format: what a scraper would refuse or mistake fails here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TYPES = frozenset({"counter", "gauge", "histogram", "summary", "untyped"})
_SAMPLE = re.compile(
    r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)(?: -?\d+)?'
)
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"')


@dataclass
class MetricsPage:
    """`samples` by name and labels, `types` by family."""

    types: dict[str, str] = field(default_factory=dict)
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)

    def value(self, name: str, **labels: str) -> float | None:
        return self.samples.get((name, frozenset(labels.items())))

    def names(self) -> set[str]:
        return {name for name, _ in self.samples}


def read(text: str) -> MetricsPage:
    """Asserts that each family stands together below its one TYPE, that no sample comes twice, that buckets add up."""
    page, current = MetricsPage(), ""
    assert text == "" or text.endswith("\n")
    for line in text.removesuffix("\n").split("\n") if text else ():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, current, kind = line.split(" ")
            assert kind in _TYPES and current not in page.types, line
            page.types[current] = kind
            continue
        found = _SAMPLE.fullmatch(line)
        assert found is not None, line
        name, labels = found[1], _LABEL.findall(found[2] or "")
        endings = ("_bucket", "_sum", "_count") if page.types[current] in ("histogram", "summary") else ("",)
        assert name in {current + ending for ending in (*endings, "")}, f"{line} below {current}"
        key = (name, frozenset(labels))
        assert len({label for label, _ in labels}) == len(labels) and key not in page.samples, line
        page.samples[key] = float(found[3])
    for family, kind in page.types.items():
        if kind == "histogram":
            _check_histogram(page, family)
    return page


def _check_histogram(page: MetricsPage, family: str) -> None:
    buckets: dict[frozenset[tuple[str, str]], dict[float, float]] = {}
    for (name, labels), value in page.samples.items():
        if name == f"{family}_bucket":
            bound = float(dict(labels)["le"])
            buckets.setdefault(frozenset(label for label in labels if label[0] != "le"), {})[bound] = value
    for labels, counts in buckets.items():
        in_order = [counts[bound] for bound in sorted(counts)]
        assert in_order == sorted(in_order), family
        assert counts[float("inf")] == page.samples[f"{family}_count", labels], family
        assert (f"{family}_sum", labels) in page.samples
