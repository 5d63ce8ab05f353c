"""What was to be true of a run: expectations with what they saw, thresholds with the samples they were held against."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.text import Text

from sim.report.page import Page, joined
from sim.report.phrases import NOTHING, clean, counted, milliseconds
from sim.scenario.result import Distribution, Expectation, Moment, Threshold, matched_events

#: At most so many values of one expectation are shown; the others are in result.json.
MAX_VALUES = 12


def print_expectations(page: Page, expectations: Sequence[Expectation]) -> None:
    """Every expectation; of one that does not hold also the values that it saw, its line, and the trace around it."""
    held = sum(expectation.passed for expectation in expectations)
    page.line(("expectations", "bold"), f"  {held} of {len(expectations)} hold")
    for expectation in expectations:
        if expectation.passed:
            note = "  (of nothing: 0 items)" if _over_nothing(expectation) else ""
            page.wrapped(joined("  ", ("✓ ", "green")), joined(clean(expectation.that), (note, "yellow")))
        else:
            _print_failed(page, expectation)


def print_thresholds(page: Page, thresholds: Sequence[Threshold]) -> None:
    """Every threshold under the distribution of its samples."""
    held = sum(threshold.passed for threshold in thresholds)
    page.line(("thresholds", "bold"), f"  {held} of {len(thresholds)} hold")
    for (metric, over), group in groupby(thresholds, lambda each: (each.metric, each.over)):
        each = list(group)
        narrowed = "".join(f" · {key} {value}" for key, value in over.items())
        page.line(("  " + clean(metric), "bold"), clean(narrowed), (_missing(each[0]), "dim"))
        distribution = each[0].distribution
        if distribution is not None:
            page.packed(Text("    "), _pieces(each[0].count, distribution))
        for threshold in each:
            _print_threshold(page, threshold)


def _print_failed(page: Page, expectation: Expectation) -> None:
    page.wrapped(joined("  ", ("✗ ", "bold red")), Text(clean(expectation.that), style="red"))
    shown = {moment.line() for moment in expectation.trace}
    values = list(expectation.actual.items())
    for path, value in values[:MAX_VALUES]:
        matched = matched_events(value)
        if matched is None:
            page.wrapped(Text("      "), joined(f"{clean(path)} is ", (_actual(value), "bold")))
            continue
        count, first = matched
        page.wrapped(Text("      "), joined(f"{clean(path)} matched ", (str(count), "bold")))
        for line in first:
            if line not in shown:
                page.wrapped(Text("        "), Text(clean(line)))
    if len(values) > MAX_VALUES:
        page.line((f"      … {len(values) - MAX_VALUES} more values in result.json", "dim"))
    if expectation.error is not None:
        page.wrapped(Text("      "), Text(clean(expectation.error)))
    line = "" if expectation.line is None else f"  {clean(expectation.line)}"
    page.whole("      ", (clean(expectation.where), "dim"), (line, "dim"))
    if expectation.trace:
        _print_trace(page, expectation.trace)


def _print_trace(page: Page, moments: Sequence[Moment]) -> None:
    page.line("      in the trace")
    times = [f"{moment.after_ms:+,.1f} ms" for moment in moments]
    width = max(len(time) for time in times)
    before: Moment | None = None
    for moment, time in zip(moments, times, strict=True):
        if moment.left_out:
            page.line((f"        … {counted(moment.left_out, 'event')} between", "dim"))
        again = before is not None and moment.after_ms < before.after_ms
        if moment.step is not None and (before is None or moment.step != before.step or again):
            page.line((f"        step {clean(moment.step)}", "dim"), (f"  {clean(moment.doing or '')}", "dim"))
        text = joined((moment.event, "bold"), " ", clean(moment.text))
        page.wrapped(joined("          ", (time.rjust(width), "dim"), "  "), text)
        before = moment


def _actual(value: Any) -> str:
    return f"{NOTHING} (null: it did not happen)" if value is None else clean(json.dumps(value, ensure_ascii=False))


def _missing(threshold: Threshold) -> str:
    """Which share of the rollouts has the metric, where it is not all."""
    if threshold.count == threshold.rollouts:
        return ""
    return f"  {threshold.count:,} of {counted(threshold.rollouts, 'rollout')}"


def _pieces(count: int, distribution: Distribution) -> list[str]:
    return [
        f"count {count:,}",
        f"min {milliseconds(distribution.min)}",
        f"med {milliseconds(distribution.med)}",
        f"p(95) {milliseconds(distribution.p95)}",
        f"max {milliseconds(distribution.max)}",
    ]


def _print_threshold(page: Page, threshold: Threshold) -> None:
    that, actual = clean(threshold.that.strip()), threshold.actual
    if threshold.passed:
        page.wrapped(joined("    ", ("✓ ", "green")), joined(that, f"  is {_statistic(threshold)}"))
        return
    said = f"  is {_statistic(threshold)}" if actual is not None else ""
    page.wrapped(joined("    ", ("✗ ", "bold red")), joined((that, "red"), (said, "bold")))
    if threshold.error is not None:
        page.wrapped(Text("        "), Text(clean(threshold.error)))
    page.whole("        ", (clean(threshold.where), "dim"))


def _statistic(threshold: Threshold) -> str:
    if threshold.actual is None:
        return NOTHING
    counts = threshold.that.lstrip().startswith("count")
    return f"{threshold.actual:,.0f}" if counts else milliseconds(threshold.actual)


def _over_nothing(expectation: Expectation) -> bool:
    """Whether it is true because it is about all of an empty list."""
    for path, value in expectation.actual.items():
        matched = matched_events(value)
        if (value == [] or (matched is not None and not matched[0])) and f"{path}.all(" in expectation.that:
            return True
    return False
