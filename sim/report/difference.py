"""A difference between two runs, in lines: verdicts, order, payloads, times, and what of it is worse than before."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from sim.report.phrases import clean, counted
from sim.scenario.compare import Change, Difference, LaneChange, Spread, TimeChange
from sim.scenario.field_changes import ABSENT

_CONTEXT = 2
_LONGEST_VALUE = 200


#: What the two sides are called where nothing better is known.
SIDES = ("the first", "the second")


def difference_lines(difference: Difference, sides: tuple[str, str] = SIDES) -> Iterator[str]:
    """What is not the same; nothing for what is. `sides` is what each is called."""
    if difference.verdicts:
        yield "verdicts"
        yield from _change_lines([(change.name, change) for change in difference.verdicts], sides=sides)
    if difference.order:
        yield "order"
        for lane in difference.order:
            yield f"  {clean(lane.lane)}"
            yield from _lane_lines(lane)
    if difference.payloads:
        yield "payloads"
        for places, changes in _alike(difference.payloads):
            for place in places:
                yield f"  {clean(place)}"
            yield from _change_lines(
                [(change.path or "(all of it)", change) for change in changes], indent=4, sides=sides
            )


def traffic_lines(changes: Sequence[Change]) -> Iterator[str]:
    """What traffic lost on one side alone."""
    if changes:
        yield "traffic (an expectation would make it count)"
        yield from _change_lines([(change.name, change) for change in changes])


def time_lines(times: Sequence[TimeChange], sides: tuple[str, str] = ("A", "B")) -> Iterator[str]:
    """A table of the stages, each rollout's under its name."""
    if not times:
        return
    yield "times"
    rows = [
        (each.stage, _spread(each.before), _spread(each.after), _ratio(each), "slower" if each.slower else "")
        for each in times
    ]
    header = ("", *sides, "", "")
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(4)]
    yield _row(header, widths)
    position = 0
    for rollout, group in groupby(times, key=lambda each: each.rollout):
        yield f"  {rollout}"
        for _ in group:
            yield _row(rows[position], widths)
            position += 1


def verdict_lines(difference: Difference, max_ratio: float | None) -> Iterator[str]:
    """What regressed, and whether it is the same."""
    worse = [f"{change.name}: {_sides(change)}" for change in difference.regressions()]
    worse += [
        f"{each.rollout} {each.stage}: {each.before.median:g} → {each.after.median:g} ms, {_ratio(each)}"
        for each in difference.slower
    ]
    if worse:
        yield "regressed"
        yield from (f"  {clean(line)}" for line in worse)
    yield summary(difference, max_ratio)


def summary(difference: Difference, max_ratio: float | None) -> str:
    """One line: `same …` or `different: 1 verdict, 2 lanes, 3 values of payloads`."""
    told = "" if max_ratio is not None or not difference.times else " (times are not held against each other)"
    if difference.order is None:
        told += " (order and payloads are not compared: there is no trace)"
    if difference.same:
        return f"same{told}"
    parts = [
        counted(len(items), what)
        for items, what in (
            (difference.verdicts, "verdict"),
            (difference.order, "lane"),
            (difference.payloads, "value"),
            (difference.slower, "time"),
        )
        if items
    ]
    return f"different: {', '.join(parts)}{told}"


def _change_lines(
    changes: Sequence[tuple[str, Change]], indent: int = 2, sides: tuple[str, str] = SIDES
) -> Iterator[str]:
    width = min(max((len(name) for name, _ in changes), default=0), 60)
    for name, change in changes:
        yield f"{' ' * indent}{clean(name).ljust(width)}  {_sides(change, sides)}"


def _sides(change: Change, sides: tuple[str, str] = SIDES) -> str:
    if not change.path and change.before is ABSENT:
        return f"only in {sides[1]}"
    if not change.path and change.after is ABSENT:
        return f"only in {sides[0]}"
    return f"{_value(change.before)} → {_value(change.after)}"


def _value(value: Any) -> str:
    if value is ABSENT:
        return "(not there)"
    text = clean(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _lane_lines(lane: LaneChange) -> Iterator[str]:
    if lane.before is None or lane.after is None:
        mark = "-" if lane.after is None else "+"
        yield from (f"    {mark} {clean(line)}" for line in lane.before or lane.after or ())
        return
    matcher = difflib.SequenceMatcher(None, lane.before, lane.after, autojunk=False)
    for number, group in enumerate(matcher.get_grouped_opcodes(_CONTEXT)):
        if number:
            yield "      …"
        for kind, i1, i2, j1, j2 in group:
            if kind == "equal":
                yield from (f"      {clean(line)}" for line in lane.before[i1:i2])
            else:
                yield from (f"    - {clean(line)}" for line in lane.before[i1:i2])
                yield from (f"    + {clean(line)}" for line in lane.after[j1:j2])


def _alike(changes: Iterable[Change]) -> Iterator[tuple[list[str], list[Change]]]:
    """By hop; hops that follow each other and have the same changes are told together."""
    by_place = [(place, list(group)) for place, group in groupby(changes, key=lambda change: change.place)]
    for _, group in groupby(by_place, key=lambda entry: repr([(c.path, c.before, c.after) for c in entry[1]])):
        hops = list(group)
        yield [place for place, _ in hops], hops[0][1]


def _spread(spread: Spread) -> str:
    if spread.count == 1:
        return f"{spread.median:.2f} ms"
    return f"{spread.median:.2f} ms ({spread.min:.2f}–{spread.max:.2f}, {spread.count}×)"


def _ratio(change: TimeChange) -> str:
    ratio = "–" if change.ratio is None else f"×{change.ratio:.2f}"
    return f"{ratio}  {change.delta_ms:+.2f} ms"


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    stage, before, after, ratio, mark = cells
    line = f"    {stage.ljust(widths[0])}  {before.rjust(widths[1])}  {after.rjust(widths[2])}"
    return f"{line}  {ratio.rjust(widths[3])}  {mark}".rstrip()
