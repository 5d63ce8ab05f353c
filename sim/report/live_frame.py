"""One picture of the live view, from plain data: the steps, the rollouts under way, the traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from sim.report.milestones import Following
from sim.report.page import joined
from sim.report.phrases import clean, image, milliseconds
from sim.scenario.result import STAGES

#: Steps that are done are shown as far as these.
_DONE_SHOWN = 4
_MIX_COLUMNS = 24
_MIX_STYLES = ("cyan", "magenta", "yellow", "blue")
_MIX_GLYPHS = "█▓"


@dataclass(slots=True)
class StepNow:
    """A step of the scenario. `text` is harmless already."""

    index: int
    total: int
    text: str
    started_ns: int
    ended_ns: int | None = None

    def length_ms(self, now_ns: int) -> float:
        return ((now_ns if self.ended_ns is None else self.ended_ns) - self.started_ns) / 1e6


@dataclass(frozen=True, slots=True)
class Load:
    """What a load does at present. `name` is harmless already."""

    name: str
    rate_per_s: float
    by_version: dict[str, int]
    failed: int


def frame(
    width: int, now_ns: int, steps: Sequence[StepNow], rollouts: Sequence[Following], loads: Sequence[Load]
) -> Text:
    """Lines of at most `width - 1` columns."""
    lines = [_step(step, now_ns) for step in steps[-(_DONE_SHOWN + 1) :]]
    for rollout in rollouts:
        lines += _rollout(rollout, now_ns, width)
    lines += [_load(load) for load in loads]
    for line in lines:
        line.truncate(max(1, width - 1), overflow="ellipsis")
    return Text("\n", no_wrap=True).join(lines)


def _step(step: StepNow, now_ns: int) -> Text:
    done = step.ended_ns is not None
    mark = ("✔ ", "green") if done else ("▸ ", "bold yellow")
    time = milliseconds(step.length_ms(now_ns)) if done else f"{step.length_ms(now_ns) / 1000:.0f} s"
    count = f"{step.index}/{step.total}  "
    return joined(mark, (count, "dim"), (step.text, "" if done else "bold"), (f"  {time}", "dim"))


def _rollout(rollout: Following, now_ns: int, width: int) -> list[Text]:
    target = f"  {image(rollout.image)}" if rollout.image else ""
    total = rollout.total_ms()
    time = ("effective after " + milliseconds(total), "green") if total is not None else _since(rollout, now_ns)
    lines = [joined("    ", (clean(rollout.plugin), "bold"), "  ", time, (target, "dim"))]
    pieces = [_stage(rollout, stage) for stage in STAGES]
    line = joined("      ")
    for piece in pieces:
        if line.cell_len + piece.cell_len + 2 > width - 1 and line.plain.strip():
            lines.append(line)
            line = joined("      ")
        line.append_text(piece).append("  ")
    lines.append(line)
    lines += [joined("      ", ("✗ " + clean(trouble), "red")) for trouble in rollout.troubles[-2:]]
    return lines


def _since(rollout: Following, now_ns: int) -> tuple[str, str]:
    return ("", "") if rollout.over else (f"{(now_ns - rollout.started_ns) / 1e9:.1f} s", "dim")


def _stage(rollout: Following, stage: str) -> Text:
    length_ms = rollout.length_ms(stage)
    if length_ms is not None:
        return joined(("✔ ", "green"), f"{stage} {milliseconds(length_ms)}")
    if rollout.failed == stage:
        return joined(("✗ " + stage, "bold red"))
    if rollout.running == stage and not rollout.over:
        return joined(("▸ ", "bold yellow"), (stage, "bold"))
    return joined(("· " + stage, "dim"))


def _load(load: Load) -> Text:
    failed = (f"{load.failed:,} failed", "bold red" if load.failed else "dim")
    line = joined("  ", (load.name, "bold"), f"  {load.rate_per_s:,.0f}/s  ", failed, "  ")
    total = sum(load.by_version.values())
    if total <= 0:
        return line
    names = sorted(load.by_version)
    for number, name in enumerate(names):
        cells = round(_MIX_COLUMNS * load.by_version[name] / total) or (1 if load.by_version[name] else 0)
        line.append(_MIX_GLYPHS[number % 2] * cells, style=_MIX_STYLES[number % len(_MIX_STYLES)])
    for number, name in enumerate(names):
        share = f"  {_MIX_GLYPHS[number % 2]} "
        line.append(share, style=_MIX_STYLES[number % len(_MIX_STYLES)])
        line.append(f"{clean(name)} {100 * load.by_version[name] / total:.0f} %")
    return line
