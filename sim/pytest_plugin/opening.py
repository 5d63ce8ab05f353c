"""A run, opened in the task that a test runs in, and closed with everything that is wrong raised there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import pytest

from sim.errors import InvalidInput, SimError, StepFailed
from sim.pytest_plugin.failures import error_of, expectations_failed, with_log, write_report
from sim.pytest_plugin.live_run import Held, LiveRun

if TYPE_CHECKING:
    from sim.envoy import Envoy
    from sim.scenario.load import LoadedScenario
    from sim.scenario.result import Result
    from sim.scenario.run import Run, RunOptions
    from sim.scenario.session import Session
    from sim.scenario.stage import Stage

#: pytest leaves the frames of this module out of tracebacks: they tell a test's author nothing.
__tracebackhide__ = True

#: With these a test is ended from outside, rather than by what it found.
_ENDED = (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit)
#: How long it may take until an Envoy that does not answer is known to be dead.
_DEATH_S = 2.0


class OpenRun(AbstractAsyncContextManager[LiveRun]):
    """Entered, the parts, the images and the traffic are there and the scenario's steps are done; left, all is gone.

    Entering raises what prevents the run, and StepFailed for a step of the scenario. Leaving raises PartDied if a part
    did, else what the body raised, else EnvironmentProblem if the run could not be brought to its end, else
    ExpectationsFailed if an expectation or a threshold does not hold.
    """

    def __init__(
        self,
        load: Callable[[], LoadedScenario],
        options: Callable[[], RunOptions],
        *,
        folder: Path,
        steps: bool,
        ended: Callable[[Result], None],
    ) -> None:
        self._load = load
        self._options = options
        self._folder = folder
        self._steps = steps
        self._ended = ended
        self._opened: AbstractAsyncContextManager[tuple[Run, Stage]]
        self._live: LiveRun
        self.held: Held

    async def __aenter__(self) -> LiveRun:
        _check_asyncio()
        try:
            await self._open()
        except SimError as error:
            raise with_log(error).with_traceback(None) from None
        try:
            if self._steps:
                await _scenario_steps(self.held.session)
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            if isinstance(error, SimError):
                raise error.with_traceback(None) from None
            raise
        return self._live

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run = self.held.session.run
        ended_by: BaseException | None = error if isinstance(error, _ENDED) else None
        if error is not None and ended_by is None:
            _note(run, error)
            ended_by = await self._last_words()
        # What a body raises stays out of the parts' task group, which would wrap it.
        if ended_by is None:
            await self._opened.__aexit__(None, None, None)
            from_outside = False
        else:
            from_outside = not await self._opened.__aexit__(type(ended_by), ended_by, ended_by.__traceback__)
        result = run.result
        assert result is not None
        self.held.final = result
        self._ended(result)
        if ended_by is not None and from_outside:
            raise ended_by
        write_report(result)
        if result.error is not None and result.error.part is not None:
            died = error_of(result.error)
            if isinstance(error, asyncio.CancelledError):
                # Told from where the test was when it was cancelled for that.
                raise died.with_traceback(_of_the_test(trace)) from None
            raise died from (error if isinstance(error, Exception) else None)
        if error is not None and not isinstance(error, asyncio.CancelledError):
            return
        if result.error is not None:
            raise error_of(result.error) from None
        # Checks on the way were raised there and then.
        expected = result.expectations[len(run.checked) :]
        if not all(each.passed for each in expected) or not all(each.passed for each in result.thresholds):
            raise expectations_failed(result) from None

    async def _open(self) -> None:
        from sim.scenario.runner import opened
        from sim.scenario.session import Session

        options = self._options()
        self._opened = opened(self._load(), options)
        run, stage = await self._opened.__aenter__()
        self.held = Held(Session(run, stage), self._folder, options.any_fault)
        self._live = LiveRun(self.held)

    async def _last_words(self) -> BaseException | None:
        """Something failed, maybe because an Envoy has just died: if it does not answer, its death is awaited.

        What we were cancelled with then, if that is so.
        """
        try:
            for gateway in self.held.session.stage.pipeline.gateways:
                if gateway.envoy_slot.running and not await _answers(gateway.envoy):
                    await asyncio.wait({gateway.envoy.died}, timeout=_DEATH_S)
                    if gateway.envoy.died.done():
                        # The parts' task group cancels us for it, as soon as it hears of it.
                        await asyncio.sleep(_DEATH_S)
        except asyncio.CancelledError as cancelled:
            return cancelled
        return None


async def _answers(envoy: Envoy) -> bool:
    from sim.scenario.gateway_state import envoy_state

    try:
        return await envoy_state(envoy, "") is not None
    except Exception:  # noqa: BLE001  it may be gone half: its client is closed in this very moment, for instance
        return False


def _of_the_test(trace: TracebackType | None) -> TracebackType | None:
    """The frames until the first one of ours."""
    if trace is None or "__tracebackhide__" in trace.tb_frame.f_globals:
        return None
    return TracebackType(_of_the_test(trace.tb_next), trace.tb_frame, trace.tb_lasti, trace.tb_lineno)


async def _scenario_steps(session: Session) -> None:
    from sim.scenario.describe import describe

    for placed in session.loaded.steps:
        try:
            await session.scenario_step(placed)
        except StepFailed as error:
            where = error.where or placed.where
            told = f"step {placed.number} ({describe(placed.step)}): {error.message}"
            failed = StepFailed(told, where=where, hint=error.hint)
            failed.add_note(f"at {where}")
            raise failed from None


def _note(run: Run, error: BaseException) -> None:
    """Have the run's result say how its test ended."""
    from sim.scenario.result import ErrorReport

    if isinstance(error, pytest.skip.Exception):
        return
    failed = isinstance(error, AssertionError | StepFailed | pytest.fail.Exception)
    run.outcome = "failed" if failed else "error"
    if isinstance(error, SimError):
        where = getattr(error, "where", None)
        run.failure = ErrorReport(message=error.message, where=str(where) if where else None, hint=error.hint)
    else:
        run.failure = ErrorReport(message=f"{type(error).__name__}: {error}")


def _check_asyncio() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise InvalidInput(
            "a run lives in an asyncio event loop, and this test runs in none",
            hint="with anyio choose its asyncio backend; or write `with ecdsim.sync(…) as run:`",
        ) from None
