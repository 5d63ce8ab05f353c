"""The report of a run on the terminal: rollouts, traffic, what was expected, errors; the outcome as the last line."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from sim.report.expectations import print_expectations, print_thresholds
from sim.report.page import Page, joined
from sim.report.phrases import NOTHING, clean, counted, lines_of, milliseconds
from sim.report.rollout_block import print_rollout
from sim.report.waterfall import events_of_rollouts
from sim.scenario.result import ErrorReport, Result, Traffic
from sim.trace import Event

_OUTCOMES = {
    "passed": ("PASSED", "bold green"),
    "failed": ("FAILED", "bold red"),
    "error": ("ERROR", "bold red"),
}
_LABEL_COLUMNS = 13


def print_report(console: Console, result: Result, events: list[Event]) -> None:
    """Write the whole report to `console`.

    Strings out of `result` and `events` are shown as they are: markup in them means nothing, control characters come
    out as escapes. Without `events` the moments of the listener steps are missing.
    """
    page = Page(console)
    _print_title(page, result)
    if not result.rollouts and result.outcome != "error":
        page.blank()
        page.line(("No rollout: no plugin changed in this run.", "dim"))
    windows = events_of_rollouts(result.rollouts, events)
    for index, (rollout, window) in enumerate(zip(result.rollouts, windows, strict=True)):
        page.blank()
        print_rollout(page, rollout, index, window, traffic=bool(result.traffic))
    for name, traffic in result.traffic.items():
        page.blank()
        _print_traffic(page, name, traffic)
    if result.expectations:
        page.blank()
        print_expectations(page, result.expectations)
    if result.thresholds:
        page.blank()
        print_thresholds(page, result.thresholds)
    if result.error is not None:
        page.blank()
        print_error(page, result.error)
    page.blank()
    _print_outcome(page, result)


def verdict(traffic: Traffic) -> tuple[str, bool]:
    """What a load went through, in one sentence, and whether nothing was lost."""
    if traffic.requests == 0:
        return "no request was sent", False
    requests = (
        "no request failed"
        if traffic.failed == 0
        else f"{traffic.failed:,} of {counted(traffic.requests, 'request')} failed"
    )
    broken = traffic.connections_broken
    connections = "no connection broke" if broken == 0 else f"{counted(broken, 'connection')} broke"
    drained = traffic.connections_drained
    tail = f", {drained:,} {'was' if drained == 1 else 'were'} drained" if drained else ""
    return f"{requests}, {connections}{tail}", traffic.failed == 0 and broken == 0


def _print_title(page: Page, result: Result) -> None:
    environment = result.environment
    envoy = f"Envoy {clean(environment.envoy)}" if environment.envoy else "no Envoy"
    page.line(
        (clean(result.scenario), "bold"),
        f" · profile {clean(result.profile)} · {envoy} · {counted(environment.workers, 'worker')}",
    )


def _print_traffic(page: Page, name: str, traffic: Traffic) -> None:
    said, well = verdict(traffic)
    mark = ("✓ ", "green") if well else ("✗ ", "bold red")
    page.line(("traffic ", "bold"), (clean(name), "bold"), "  ", mark, (said, "" if well else "red"))
    latency = traffic.latency_ms
    rows = (
        ("requests", [f"{traffic.requests:,} sent", f"{traffic.failed:,} failed"]),
        (
            "connections",
            [
                f"{traffic.connections_opened:,} opened",
                f"{traffic.connections_broken:,} broken",
                f"{traffic.connections_drained:,} drained",
            ],
        ),
        ("by version", _shares(traffic.by_version)),
        ("by status", _shares(traffic.by_status)),
        ("latency", [f"{name} {milliseconds(getattr(latency, name))}" for name in ("p50", "p99", "max")]),
        ("longest gap", [milliseconds(traffic.longest_gap_ms)]),
    )
    for label, pieces in rows:
        page.packed(Text("  " + label.ljust(_LABEL_COLUMNS), style="dim"), pieces)


def _shares(counts: dict[str, int]) -> list[str]:
    total = sum(counts.values())
    if not total:
        return [NOTHING]
    return [f"{clean(key)} {count:,} ({_percent(count, total)})" for key, count in counts.items()]


def _percent(count: int, total: int) -> str:
    share = 100 * count / total
    if 0 < share < 1:
        return "<1 %"
    return ">99 %" if 99 < share < 100 else f"{share:.0f} %"


def print_error(page: Page, error: ErrorReport) -> None:
    """Why a run could not be carried to its end."""
    told = error.part is None or error.message.startswith(error.part)
    part = "" if told else f" in {clean(error.part or '')}"
    head, *rest = lines_of(error.message) or [""]
    page.wrapped(joined(("error" + part, "bold red"), "  "), Text(head, style="red"))
    for line in rest:
        page.wrapped(Text("  "), Text(line, style="red"))
    for line in lines_of(error.hint or ""):
        page.wrapped(joined("  ", ("hint  ", "bold")), Text(line))
    if error.where:
        page.whole(("  at    ", "bold"), clean(error.where))
    if error.log_tail:
        page.line(("  its last log lines", "bold"))
        for line in lines_of(error.log_tail):
            page.wrapped(Text("    "), Text(line, style="dim"))


def _print_outcome(page: Page, result: Result) -> None:
    word, style = _OUTCOMES[result.outcome]
    pieces: list[str | tuple[str, str]] = [(word, style)]
    for held, noun in ((result.expectations, "expectation"), (result.thresholds, "threshold")):
        missed = sum(not each.passed for each in held)
        if result.outcome == "failed" and missed:
            pieces.append(f" · {missed} of {counted(len(held), noun)} failed")
    pieces.append(f" · {milliseconds(result.duration_ms)}")
    if result.directory is not None:
        pieces.append(f" · {clean(result.directory)}")
    page.whole(*pieces)
