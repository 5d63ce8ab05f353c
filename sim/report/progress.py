"""What a run is doing right now: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from sim.clock import Clock
from sim.report.live_frame import Load, StepNow, frame
from sim.report.milestones import Following, Milestone, Milestones
from sim.report.page import Page
from sim.report.phrases import clean, milliseconds
from sim.trace import Event

#: How often the screen may change.
TICK_S = 0.25
#: Drawing takes milliseconds of the interpreter that is being measured, so it waits until the trace was quiet for
#: this long, which is more than Istio's debounce …
QUIET_NS = 150_000_000
#: … but not longer than this.
PATIENCE_NS = 1_000_000_000


class EventSource(Protocol):
    """Where events come from: `sim.trace.Trace`, or anything that has its clock and its listeners."""

    clock: Clock

    def listen(self, listener: Callable[[Event], None]) -> Callable[[], None]: ...


@dataclass(slots=True)
class _Said:
    """Plain lines that wait to be written: steps as they are, milestones of one rollout gathered in one line."""

    text: str
    rollout: Following | None = None
    milestones: list[Milestone] = field(default_factory=list)


class Progress:
    """Shows `source`'s events on `console`, which should write to stderr, while inside `with`.

    Listens by itself: entering subscribes to `source`, leaving unsubscribes, writes what still waits and gives the
    terminal back, however it is left. Drawing happens in a thread of its own and in quiet moments; `on_event`,
    `on_step` and `on_traffic` only take notes. `live` overrides the guess whether `console` is a terminal.
    `versions`: see `Milestones`.
    """

    def __init__(
        self,
        console: Console,
        source: EventSource,
        *,
        live: bool | None = None,
        versions: Mapping[str, str | None] | None = None,
    ) -> None:
        self._console = console
        self._page = Page(console)
        self._source = source
        # Where colours are forced into a file, rich calls it a terminal; cursor movements don't belong there.
        self._is_live = console.is_interactive and console.file.isatty() if live is None else live
        self._milestones = Milestones(versions)
        self._steps: list[StepNow] = []
        self._loads: dict[str, Load] = {}
        self._said: list[_Said] = []
        self._lock = threading.Lock()
        self._last_event_ns = 0
        self._last_drawn_ns = 0
        self._unlisten: Callable[[], None] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="progress", daemon=True)
        # Rich asks for the first picture at once, so everything that is in it comes before.
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=True,
            get_renderable=self._frame,
        )

    def __enter__(self) -> Self:
        self._unlisten = self._source.listen(self.on_event)
        try:
            if self._is_live:
                self._live.start()
            self._thread.start()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        now = self._source.clock.monotonic_ns()
        self._finish_step(now, "done" if kind is None else "stopped")
        self._leave()

    def on_event(self, event: Event) -> None:
        """Take note of an event of the trace."""
        self._last_event_ns = self._source.clock.monotonic_ns()
        if event.event == "run.step" and "note" in event.data:
            self._say(_Said(f"      {clean(str(event.data['note']))}"))
            if self._steps:
                self._steps[-1].text += f" · {clean(str(event.data['note']))}"
        for milestone in self._milestones.take(event):
            if not self._is_live:
                self._say_milestone(milestone)

    def on_step(self, index: int, total: int, text: str) -> None:
        """Step `index` of `total`, counted from 1, begins; the one before has ended."""
        now = self._source.clock.monotonic_ns()
        self._finish_step(now, "done")
        self._steps.append(StepNow(index, total, clean(text), now))
        self._say(_Said(f"[{index}/{total}] {clean(text)}"))

    def on_steps_ended(self, well: bool) -> None:
        """The last step that was begun has ended, as it should or not; taking things down is not its time."""
        self._finish_step(self._source.clock.monotonic_ns(), "done" if well else "failed")

    def on_traffic(self, name: str, rate_per_s: float, by_version: dict[str, int], failed: int) -> None:
        """What the load `name` does at present; `by_version` and `failed` are counts of its own choosing."""
        before = self._loads.get(name)
        self._loads[name] = Load(clean(name), rate_per_s, dict(by_version), failed)
        if failed and (before is None or not before.failed):
            self._say(_Said(f"      traffic {clean(name)}: the first failed request"))

    # -- taking notes ---------------------------------------------------------------------------------------

    def _finish_step(self, now_ns: int, how: str) -> None:
        if self._steps and self._steps[-1].ended_ns is None:
            step = self._steps[-1]
            step.ended_ns = now_ns
            self._say(_Said(f"[{step.index}/{step.total}] {how} after {milliseconds(step.length_ms(now_ns))}"))

    def _say_milestone(self, milestone: Milestone) -> None:
        rollout = milestone.rollout
        with self._lock:
            if not self._said or self._said[-1].rollout is not rollout:
                self._said.append(_Said(f"      {clean(rollout.plugin)}: ", rollout))
            self._said[-1].milestones.append(milestone)

    def _say(self, said: _Said) -> None:
        if not self._is_live:
            with self._lock:
                self._said.append(said)

    # -- showing --------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        while not self._stop.wait(TICK_S):
            now = self._source.clock.monotonic_ns()
            if now - self._last_event_ns < QUIET_NS and now - self._last_drawn_ns < PATIENCE_NS:
                continue
            self._last_drawn_ns = now
            try:
                self._show()
            except (OSError, ValueError):
                # The terminal went away or the stream was closed: nobody watches any more, the run goes on.
                return

    def _show(self) -> None:
        if self._is_live:
            self._live.refresh()
            return
        with self._lock:
            said, self._said = self._said, []
        for line in said:
            self._page.whole(line.text + " · ".join(map(_phrase, line.milestones)))

    def _frame(self) -> Text:
        now = self._source.clock.monotonic_ns()
        loads = tuple(self._loads.values())
        shown = frame(self._page.width, now, tuple(self._steps), self._milestones.rollouts, loads)
        return self._page.encodable(shown)

    def _leave(self) -> None:
        try:
            if self._unlisten is not None:
                self._unlisten()
                self._unlisten = None
            self._stop.set()
            if self._thread.ident is not None:
                self._thread.join(timeout=1)
        finally:
            # A terminal that went away can't be given back, and must not hide why the run ended.
            with suppress(OSError, ValueError):
                if self._is_live:
                    self._live.stop()
                else:
                    self._show()


def _phrase(milestone: Milestone) -> str:
    rollout, stage = milestone.rollout, milestone.stage
    if stage is None:
        return ("✗ " if milestone.trouble else "") + clean(milestone.text)
    phrase = f"{stage} {milliseconds(rollout.length_ms(stage))}"
    if stage == "first_response":
        phrase += f" · effective after {milliseconds(rollout.total_ms())}"
    return phrase
