"""The debounce on a clock that jumps: no test waits."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sim.discovery.debounce import Debounce, DebounceTimes
from sim.trace import Trace


class JumpingSelector(selectors.SelectSelector):
    """Where a loop would wait, its time goes on at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now_s += timeout or 0
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


class Play:
    """A debounce of 100 ms and at most 1 s, and what it pushed: when (ms), and which kinds."""

    def __init__(self) -> None:
        self.trace = Trace()
        self.pushes: list[tuple[int, set[str]]] = []
        #: What `prepare` was called with, and after how many pushes.
        self.prepared: list[tuple[int, set[str]]] = []
        self.debounce = Debounce(DebounceTimes(after_s=0.1, max_s=1.0), self._push, self.trace, self._prepare)
        self.then: Callable[[], None] | None = None

    def _push(self, kinds: frozenset[str]) -> None:
        self.pushes.append((round(asyncio.get_running_loop().time() * 1000), set(kinds)))
        if self.then is not None:
            follow, self.then = self.then, None
            follow()

    def _prepare(self, kinds: frozenset[str]) -> None:
        self.prepared.append((len(self.pushes), set(kinds)))

    async def changes(self, *at: tuple[int, str]) -> None:
        """Changes at these milliseconds; then time for all that may follow."""
        loop = asyncio.get_running_loop()
        for at_ms, kind in at:
            await asyncio.sleep(at_ms / 1000 - loop.time())
            self.debounce.changed(kind)
        await asyncio.sleep(5)


@pytest.fixture
def play() -> Play:
    return Play()


def run(story: Callable[[], Awaitable[Any]]) -> None:
    async def told() -> None:
        await story()

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(told())


def test_a_change_is_pushed_after_the_quiet(play: Play) -> None:
    run(lambda: play.changes((0, "WasmPlugin")))
    assert play.pushes == [(100, {"WasmPlugin"})]


def test_changes_in_quick_succession_are_one_push_after_the_last(play: Play) -> None:
    run(lambda: play.changes((0, "Gateway"), (60, "WasmPlugin"), (120, "WasmPlugin")))
    assert play.pushes == [(220, {"Gateway", "WasmPlugin"})]


def test_changes_that_leave_time_for_quiet_are_pushed_one_by_one(play: Play) -> None:
    run(lambda: play.changes((0, "Gateway"), (150, "WasmPlugin")))
    assert play.pushes == [(100, {"Gateway"}), (250, {"WasmPlugin"})]


def test_changes_without_a_pause_are_pushed_when_the_first_has_waited_long_enough(play: Play) -> None:
    run(lambda: play.changes(*((ms, "WasmPlugin") for ms in range(0, 1501, 50))))
    # 0 … 950 are pushed at 1000, the rest after its own quiet.
    assert [at for at, _ in play.pushes] == [1000, 1600]


def test_a_change_that_a_push_brings_about_is_the_next_push(play: Play) -> None:
    play.then = lambda: play.debounce.changed("Gateway")
    run(lambda: play.changes((0, "WasmPlugin")))
    assert play.pushes == [(100, {"WasmPlugin"}), (200, {"Gateway"})]


def test_a_closed_debounce_forgets_what_waited(play: Play) -> None:
    async def story() -> None:
        play.debounce.changed("WasmPlugin")
        play.debounce.close()
        await asyncio.sleep(5)

    run(story)
    assert play.pushes == []


def test_the_trace_tells_how_many_changes_went_into_a_push(play: Play) -> None:
    run(lambda: play.changes((0, "WasmPlugin"), (50, "Gateway"), (90, "WasmPlugin")))
    started, completed = play.trace.events
    assert (started.event, started.span, completed.span) == ("discovery.debounce", "started", "completed")
    assert completed.data == {"changes": 3, "kinds": ["Gateway", "WasmPlugin"]}


def test_each_change_is_prepared_for_with_all_kinds_so_far_before_the_push(play: Play) -> None:
    run(lambda: play.changes((0, "Gateway"), (60, "WasmPlugin"), (300, "WasmPlugin")))
    assert play.prepared == [(0, {"Gateway"}), (0, {"Gateway", "WasmPlugin"}), (1, {"WasmPlugin"})]


def test_changes_at_one_moment_are_prepared_for_once(play: Play) -> None:
    async def story() -> None:
        for kind in ("Gateway", "WasmPlugin", "Gateway"):
            play.debounce.changed(kind)
        await asyncio.sleep(5)

    run(story)
    assert play.prepared == [(0, {"Gateway", "WasmPlugin"})]


def test_a_closed_debounce_prepares_nothing(play: Play) -> None:
    async def story() -> None:
        play.debounce.changed("WasmPlugin")
        play.debounce.close()
        await asyncio.sleep(5)

    run(story)
    assert play.prepared == []
