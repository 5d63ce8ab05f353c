"""One rollout on the terminal: its heading, nine steps on a time axis, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat

from rich.text import Text

from sim.report.page import Page, joined
from sim.report.phrases import NOTHING, clean, counted, image_change, milliseconds
from sim.report.waterfall import Row, Waterfall, nacked_by, waterfall
from sim.scenario.result import Rollout, WorkerSwitch
from sim.trace import Event
from sim.trace.refusal import is_warning, quoted

_CHANGES = {
    "add": "plugin added",
    "image": "new image",
    "config": "new configuration",
    "remove": "plugin removed",
    "other": "other change",
}
_REPLACEMENTS = {
    "allow_all": "the agent put allow-all in its place, so requests pass as if there were no plugin.",
    "deny_all": "the agent put deny-all in its place, so every request is refused.",
}
_TITLE_COLUMNS = 31
_TIME_COLUMNS = 9
_LEFT_COLUMNS = 5 + _TITLE_COLUMNS + 1 + _TIME_COLUMNS + 2
_BAR_COLUMNS = (12, 90)
_LABEL_COLUMNS = 11
#: So many of the plugin's warnings are shown.
_NOTES = 5
_SHADES = (("█", "cyan"), ("▓", "blue"), ("█", "magenta"))


def print_rollout(page: Page, rollout: Rollout, index: int, events: Sequence[Event], *, traffic: bool) -> None:
    """`index` is the one that expectations use; `traffic` is whether any load was there to see the rollout."""
    where = f" on {clean(rollout.gateway)}" if rollout.gateway is not None else ""
    page.line(
        (clean(rollout.plugin), "bold"), f"{where} · {_CHANGES[rollout.change]} · ", (f"rollouts[{index}]", "dim")
    )
    page.wrapped(Text("  "), Text(image_change(rollout.from_, rollout.to)))
    page.blank()
    picture = waterfall(rollout, events)
    width = _bar_width(page)
    if picture.span_ms > 0 and width:
        end = milliseconds(picture.span_ms)
        page.line(" " * _LEFT_COLUMNS, ("0" + end.rjust(width - 1), "dim"))
    for row in picture.rows:
        _print_row(page, row, picture, width)
    _print_total(page, "effective", rollout.effective_ms, _effective_note(rollout, traffic))
    _print_total(page, "settled", rollout.settled_ms, _settled_note(rollout, traffic))
    page.blank()
    _print_ending(page, rollout, events)


def _bar_width(page: Page) -> int:
    """Columns for the bars; 0 where the terminal is too narrow for any."""
    # The last column stays free: some terminals break the line after it.
    room = page.width - _LEFT_COLUMNS - 1
    return min(_BAR_COLUMNS[1], room) if room >= _BAR_COLUMNS[0] else 0


def _print_row(page: Page, row: Row, picture: Waterfall, width: int) -> None:
    number, title = f"  {row.step.number}  ", row.step.title.en.ljust(_TITLE_COLUMNS) + " "
    happened = bool(row.segments) or row.at_ms is not None
    time = (f"+{milliseconds(row.at_ms)}" if row.at_ms is not None else milliseconds(row.total_ms)).rjust(_TIME_COLUMNS)
    mark = ("✗ ", "bold red") if row.failed else ""
    note: tuple[str, str] = (row.note or "", "red" if row.failed else "dim")
    beside = _bar(row, picture.span_ms, width) if happened else joined(mark, note)
    page.line((number, "bold"), (title, "" if happened or row.failed else "dim"), time, "  ", beside)
    parts = " · ".join(f"{s.stage} {milliseconds(s.length_ms)}" for s in row.segments)
    below = [(parts, "dim")] if len(row.segments) > 1 else []
    if happened and row.note:
        below = [*below, (" · ", "dim"), note] if below else [note]
    if below:
        page.line("     ", mark, *below)


def _bar(row: Row, span_ms: float, width: int) -> Text:
    cells: list[tuple[str, str]] = [(" ", "")] * width
    if span_ms <= 0 or not width:
        return joined(*cells)
    if row.at_ms is not None:
        cells[_cell(row.at_ms, span_ms, width)] = ("◆", "yellow")
    shaded = list(zip(row.segments, _SHADES, strict=False))
    # The longest first, so that a short neighbour keeps the one cell it has.
    for segment, (glyph, style) in sorted(shaded, key=lambda pair: -pair[0].length_ms):
        first = _cell(segment.start_ms, span_ms, width)
        if segment.length_ms * width < 0.5 * span_ms:
            cells[first] = ("▏", style)
            continue
        end = round((segment.start_ms + segment.length_ms) / span_ms * width)
        for cell in range(first, max(first + 1, min(width, end))):
            cells[cell] = (glyph, style)
    return joined(*cells)


def _cell(at_ms: float, span_ms: float, width: int) -> int:
    return min(width - 1, max(0, int(at_ms / span_ms * width)))


def _print_total(page: Page, label: str, value_ms: float | None, note: str) -> None:
    time = milliseconds(value_ms).rjust(_TIME_COLUMNS)
    page.line("     ", (label.ljust(_TITLE_COLUMNS + 1), "bold"), (time, "bold"), "  ", (note, "dim"))


def _effective_note(rollout: Rollout, traffic: bool) -> str:
    if rollout.effective_ms is not None:
        return "to the first response without it" if rollout.change == "remove" else "to the first new response"
    if rollout.change == "config":
        return "the version stays, so traffic can't tell"
    if traffic and not rollout.traffic_tells:
        return "traffic can't tell its versions"
    return "traffic never saw it" if traffic else "there was no traffic to see it"


def _settled_note(rollout: Rollout, traffic: bool) -> str:
    if rollout.settled_ms is not None:
        return "until no old response came"
    return "old responses until the end" if traffic and rollout.effective_ms is not None else ""


def _print_ending(page: Page, rollout: Rollout, events: Sequence[Event]) -> None:
    shim = next((event.data for event in events if event.event == "agent.shim"), None)
    if shim is not None:
        told = f"ABI {shim.get('abi')} shimmed to {shim.get('shim_abi')}, which stock Envoy knows"
        page.line(_label("module"), clean(told))
    page.packed(_label("workers"), [_switch(worker) for worker in rollout.workers] or [NOTHING])
    page.line(_label("answer"), _answer(rollout, events))
    page.line(_label("listener"), _listener(rollout))
    if rollout.error is not None:
        page.wrapped(_label("error"), Text(clean(rollout.error), style="red"))
    for label, note in zip(chain(["notes"], repeat("")), _notes(rollout, events), strict=False):
        page.wrapped(_label(label), Text(note, style="yellow"))
    warning = _inactive(rollout)
    if warning:
        page.wrapped(joined("     ", ("✗ ", "bold red")), Text(warning, style="bold red"))


def _notes(rollout: Rollout, events: Sequence[Event]) -> list[str]:
    """What the plugin warned of while it was configured, for instance of keys that it does not know."""
    warned = dict.fromkeys(quoted(event) for event in events if is_warning(event, rollout.plugin))
    notes = [f"the plugin warns: {clean(said)}" for said in warned if said not in (rollout.error or "")]
    left_out = len(notes) - _NOTES
    return notes if left_out <= 0 else [*notes[:_NOTES], f"and {left_out} more: ecdsim logs --level warning"]


def _label(word: str) -> Text:
    return joined("     ", (word.ljust(_LABEL_COLUMNS), "bold"))


def _switch(worker: WorkerSwitch) -> str:
    when = NOTHING if worker.ready_ms is None else f"at +{milliseconds(worker.ready_ms)}"
    return f"worker {worker.worker} {when}"


def _answer(rollout: Rollout, events: Sequence[Event]) -> Text:
    match nacked_by(rollout, events):
        case "agent":
            return joined(("NACK", "bold red"), " by the agent, so Envoy was not asked")
        case "envoy":
            return joined(("NACK", "bold red"), " by Envoy")
    if not rollout.acked:
        return joined(NOTHING, ("  neither ACK nor NACK", "dim"))
    return joined(("ACK", "green"), " by Envoy", "" if rollout.replaced_by is None else ", of the replacement")


def _listener(rollout: Rollout) -> Text:
    updates = rollout.listener_updates
    if not updates:
        return Text(NOTHING if updates is None else "untouched")
    return Text(f"updated {'once' if updates == 1 else counted(updates, 'time')}, so old connections drain")


def _inactive(rollout: Rollout) -> str:
    if rollout.replaced_by is not None:
        return f"the plugin is NOT active: {_REPLACEMENTS[rollout.replaced_by]}"
    if rollout.nacked:
        return "the new version is NOT active: Envoy keeps what it had."
    if rollout.error is not None and rollout.effective_ms is None:
        return "the change is NOT active."
    return ""
