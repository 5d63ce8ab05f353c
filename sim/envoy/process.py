"""The Envoy process: started from a bootstrap, its log drained all the time, stopped, never left behind."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.affinity import on_every_core
from sim.envoy.admin import Admin, admin
from sim.envoy.binary import EnvoyBinary
from sim.envoy.bootstrap import BootstrapOptions, bootstrap
from sim.envoy.log import LOG_FORMAT, LogLine, WasmLogLevel, component_levels, parse_line
from sim.envoy.wasm_story import WasmStory
from sim.envoy.wasm_support import needs_early_v8, with_early_v8
from sim.errors import EnvironmentProblem, PartDied
from sim.trace import Trace

_STOP_S = 5.0
_TAIL_LINES = 40
_TAIL_COLUMNS = 240
#: Envoy writes a message at once, whatever its number of lines; after so much quiet no further line of it comes.
_MESSAGE_ENDS_S = 0.02


@dataclass(frozen=True, slots=True)
class EnvoyOptions:
    """How Envoy is run. `directory` gets the bootstrap and `envoy.log`; a bootstrap may also be given as it is.

    `wasm_log` is the level from which on plugins' own words get into the trace.
    """

    binary: EnvoyBinary
    bootstrap: BootstrapOptions | dict[str, Any]
    directory: Path
    workers: int = 2
    start_timeout_s: float = 20.0
    wasm_log: WasmLogLevel = "info"


class Envoy:
    """A running Envoy. `died` resolves, with the error, when it ends although nobody asked it to."""

    def __init__(
        self, options: EnvoyOptions, process: asyncio.subprocess.Process, trace: Trace, *, early_v8: bool = False
    ) -> None:
        self._options = options
        self._process = process
        self._trace = trace
        self._tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
        self._worker_by_thread: dict[int, int] = {}
        self._story = WasmStory(trace, options.wasm_log)
        #: A message whose further lines may still come.
        self._held: LogLine | None = None
        #: Whether what it tells of Wasm is still about the bootstrap's own module.
        self._early_v8 = early_v8
        self.died: asyncio.Future[PartDied] = asyncio.get_running_loop().create_future()
        self.stopping = False
        #: Nanoseconds to take from the wall clock to get CLOCK_MONOTONIC.
        self.wall_offset_ns = wall_offset_ns()
        self.admin: Admin

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """End it as a crash would; that is not taken for one that nobody asked for."""
        self.stopping = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def pause(self) -> None:
        """Stop all its threads where they are, until `resume`."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)

    @property
    def log_tail(self) -> str:
        """The last lines of the log."""
        return "\n".join(self._tail)

    async def read_log(self) -> None:
        """Copy the log to `envoy.log` and into the trace until Envoy ends; then tell, unless it was asked to."""
        assert self._process.stderr is not None
        with (self._options.directory / "envoy.log").open("a", encoding="utf-8") as file:
            while raw := await self._next_line(self._process.stderr):
                text = raw.decode(errors="replace").rstrip("\n")
                line = parse_line(text)
                shown = text if line is None else str(line)
                file.write(shown + "\n")
                file.flush()
                # Some lines list every extension there is; a tail is to be read.
                self._tail.append(shown if len(shown) <= _TAIL_COLUMNS else f"{shown[:_TAIL_COLUMNS]} …")
                if line is not None:
                    self._take(line)
                elif self._held is not None:
                    self._held = self._held.and_then(text)
        self._release()
        code = await self._process.wait()
        if not self.stopping and not self.died.done():
            self.died.set_result(PartDied("envoy", f"exit status {code}", log_tail=self.log_tail))

    async def _next_line(self, stream: asyncio.StreamReader) -> bytes:
        if self._held is not None:
            try:
                async with asyncio.timeout(_MESSAGE_ENDS_S):
                    return await self._read_line(stream)
            except TimeoutError:
                self._release()
        return await self._read_line(stream)

    @staticmethod
    async def _read_line(stream: asyncio.StreamReader) -> bytes:
        try:
            return await stream.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            return error.partial
        except asyncio.LimitOverrunError as error:
            return await stream.readexactly(error.consumed)

    def _take(self, line: LogLine) -> None:
        self._release()
        if self._early_v8:
            self._early_v8 = not line.main_loop_starts
        elif self._story.may_go_on(line):
            self._held = line
        else:
            self._trace_line(line)

    def _release(self) -> None:
        """The message that was held is complete."""
        held, self._held = self._held, None
        if held is not None:
            self._trace_line(held)

    def _trace_line(self, line: LogLine) -> None:
        self._story.take(line, self._worker_of(line.thread), line.wall_ns - self.wall_offset_ns)

    def _worker_of(self, thread: int) -> int | None:
        """The worker's number by its thread's name, `wrk:worker_0`; None for the main thread."""
        if thread == self.pid:
            return None
        if thread not in self._worker_by_thread:
            try:
                name = Path(f"/proc/{self.pid}/task/{thread}/comm").read_text(encoding="utf-8").strip()
            except OSError:
                return None
            if not name.startswith("wrk:worker_"):
                return None
            self._worker_by_thread[thread] = int(name.removeprefix("wrk:worker_"))
        return self._worker_by_thread[thread]


def wall_offset_ns() -> int:
    """How far the wall clock is ahead of CLOCK_MONOTONIC, read between two looks at the latter."""
    best = None
    for _ in range(5):
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        if best is None or after - before < best[0]:
            best = (after - before, wall - (before + after) // 2)
    assert best is not None
    return best[1]


@asynccontextmanager
async def envoy(options: EnvoyOptions, trace: Trace) -> AsyncIterator[Envoy]:
    """Envoy, started and answering at its admin port; stopped and reaped when left."""
    directory = options.directory
    config = directory / "bootstrap.json"
    made = options.bootstrap if isinstance(options.bootstrap, dict) else bootstrap(options.bootstrap)
    early_v8 = needs_early_v8(options.binary.version)
    if early_v8:
        made = with_early_v8(made)
    config.write_text(json.dumps(made, indent=1), encoding="utf-8")
    admin_file = directory / "admin-address"
    admin_file.unlink(missing_ok=True)
    arguments = [
        "-c", str(config),
        "--concurrency", str(options.workers),
        "--disable-hot-restart",
        "--drain-time-s", "45",
        "--drain-strategy", "immediate",
        "--admin-address-path", str(admin_file),
        "--log-format", LOG_FORMAT,
        "--component-log-level", component_levels(options.wasm_log),
        "--log-level", "info",
    ]  # fmt: skip
    with trace.span("envoy.start", version=options.binary.version, workers=options.workers):
        try:
            with on_every_core():
                process = await asyncio.create_subprocess_exec(
                    *_bound_to_us(),
                    options.binary.path,
                    *arguments,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    limit=1 << 20,
                    # A terminal's Ctrl-C is for us alone; we stop Envoy ourselves.
                    start_new_session=True,
                )
        except OSError as error:
            raise EnvironmentProblem(f"{options.binary.path} can't be started: {error.strerror}") from error
    running = Envoy(options, process, trace, early_v8=early_v8)
    reader = asyncio.create_task(running.read_log(), name="envoy-log")
    try:
        address = await _admin_address(running, admin_file, options.start_timeout_s)
        async with admin(address) as running.admin:
            yield running
    finally:
        running.stopping = True
        await _stop(process)
        await reader
        trace.emit("envoy.stop", exit_status=process.returncode)


def _bound_to_us() -> list[str]:
    """A command's prefix that has the kernel kill it when we are killed, so that even then no Envoy is left.

    util-linux's setpriv does that; where there is none, only SIGKILL leaves an Envoy behind. (`preexec_fn` could
    too, but runs Python in a fork of a process whose gRPC threads are gone.)
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv is not None else []


async def _admin_address(running: Envoy, file: Path, timeout_s: float) -> str:
    """Envoy writes the file once its admin port is bound."""
    deadline = time.monotonic() + timeout_s
    while True:
        if running.died.done():
            raise running.died.result()
        if address := _content(file):
            return address
        if time.monotonic() > deadline:
            raise PartDied("envoy", f"no admin port after {timeout_s:g} s", log_tail=running.log_tail)
        await asyncio.sleep(0.01)


def _content(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        # One that is paused would not hear it.
        process.send_signal(signal.SIGCONT)
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
