"""The cases of a suite, each run as a process of its own: so many at once, stopped in good order, none left behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sim.scenario.result import Result
from sim.scenario.suite import Case
from sim.scenario.verdicts import Attempt, AttemptOutcome

#: How long a run may take to end once it was told to. Envoy and the probe have seconds each.
_STOP_S = 30.0
_OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024

_OUTCOMES: dict[int, AttemptOutcome] = {0: "passed", 1: "failed"}


@dataclass(frozen=True, slots=True)
class RunArguments:
    """What every run is given, as `ecdsim run` takes it."""

    runs_dir: Path = Path("runs")
    envoy: str | None = None
    profile: str | None = None
    fixed: tuple[str, ...] = ()
    abi_shim: str | None = None

    def command(self, case: Case) -> list[str]:
        """The command line of one run. Its result is JSON on stdout, what prevents one is on stderr."""
        words = ["run", "--quiet", "--output", "json", "--runs-dir", str(self.runs_dir)]
        settings = {
            "--combination": case.combination,
            "--envoy": self.envoy,
            "--profile": self.profile,
            "--abi-shim": self.abi_shim,
        }
        words += [word for option, value in settings.items() if value is not None for word in (option, value)]
        words += [word for name in self.fixed for word in ("--fixed", name)]
        # -P: a directory of the user's that happens to be called `sim` must not stand in for ours.
        return [*_bound_to_us(), sys.executable, "-P", "-m", "sim", *words, "--", str(case.file)]


class CaseRuns:
    """Runs cases, `jobs` at a time. `finished` is told of each attempt as it ends."""

    def __init__(self, arguments: RunArguments, jobs: int, finished: Callable[[Case, Attempt], bool]) -> None:
        self._arguments = arguments
        self._jobs = jobs
        self._finished = finished
        self._stopped = False

    async def run(self, attempts: Sequence[Case]) -> None:
        """Carry out these attempts, begun in this order. No further one is begun once `finished` says False.

        Cancelled, it stops what is running, waits for it, and tells `finished` of it as interrupted.
        """
        waiting = iter(attempts)
        async with asyncio.TaskGroup() as tasks:
            for number in range(min(self._jobs, len(attempts))):
                tasks.create_task(self._worker(waiting), name=f"case-runs-{number}")

    async def _worker(self, waiting: Iterator[Case]) -> None:
        for case in waiting:
            if self._stopped:
                return
            attempt = await self._attempt(case)
            if not self._finished(case, attempt):
                self._stopped = True

    async def _attempt(self, case: Case) -> Attempt:
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *self._arguments.command(case),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_OUTPUT_LIMIT_BYTES,
            # An interrupt from the keyboard is ours: each run is then told once, by us.
            process_group=0,
        )
        talking = asyncio.create_task(process.communicate(), name=f"case-{case.name}")
        try:
            output, errors = await asyncio.shield(talking)
        except asyncio.CancelledError:
            await _stop(process, talking)
            output, errors = talking.result()
            # It may have ended by itself in that very moment; then what it found counts.
            if process.returncode not in _OUTCOMES:
                self._finished(case, Attempt("interrupted", None, time.monotonic() - started, ""))
                raise
            self._finished(case, _read(process.returncode, output, errors, time.monotonic() - started))
            raise
        assert process.returncode is not None
        return _read(process.returncode, output, errors, time.monotonic() - started)


async def _stop(process: asyncio.subprocess.Process, talking: asyncio.Task[Any]) -> None:
    """Interrupt a run and wait for its end; one that does not end is killed with all that it started."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    await asyncio.wait({talking}, timeout=_STOP_S)
    if not talking.done():
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.wait({talking})


def _read(status: int, output: bytes, errors: bytes, seconds: float) -> Attempt:
    """An attempt from what its process left: its status, its result if it printed one, its last words."""
    told = errors.decode(errors="replace").strip()
    try:
        result = Result.model_validate_json(output)
    except ValidationError:
        # Nothing, or not all of it: what prevented the run is on stderr.
        result = None
    outcome = _OUTCOMES.get(status, "error")
    if result is None and outcome != "error":
        return Attempt("error", None, seconds, told or f"it ended with {status} and printed no result")
    if result is None and not told:
        told = f"it ended with status {status}; a negative one is the signal that ended it"
    return Attempt(outcome, result, seconds, told)


def _bound_to_us() -> list[str]:
    """A prefix that has the kernel interrupt a run when we are killed, so that even then nothing is left running."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "INT", "--"] if setpriv is not None else []
