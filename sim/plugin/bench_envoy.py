"""One Envoy of a bench: the plugin is handed to it while it runs, and then put on the requests' way and taken off."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import aiohttp

from sim.envoy import Envoy, EnvoyBinary, EnvoyOptions, envoy, reserved_port
from sim.errors import EnvironmentProblem, PartDied
from sim.plugin.bench_bootstrap import PLUGIN, Side, bench_bootstrap, no_plugin, plugin, switch
from sim.plugin.configuration import Configuration
from sim.plugin.trial import NO_CONFIGURATION, PluginRefused
from sim.plugin.trial_log import LogEntry, read_log, reasons
from sim.trace import Event, Trace

#: A Go module takes Envoy seconds to compile, and a slow machine longer.
LOAD_S = 180.0
_ANSWER_S = 20.0
#: How many connections tell, by being answered, that every worker is done with what it was told before.
_ROUND_TRIPS_PER_WORKER = 2

_T = TypeVar("_T")

LogLevel = Literal["trace", "debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin as Envoy is given it: `module` after the ABI shim where it got that, which `shim` says."""

    module: bytes
    configuration: Configuration
    shim: bool


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """A worker's VM: `ready_ms` after the plugin was handed over; `took_ms` is the worker's own part of it.

    Both are by the last that Envoy's log tells of the VM's start; `took_ms` is None for a plugin that has no
    callback there, of which nothing is told but that its VM was made.
    """

    worker: int
    ready_ms: float
    took_ms: float | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one load took. `compile_ms` is the main thread's; `vms` how many VMs there are more than before.

    Memory is in bytes, as the kernel counts what is resident, without the plugin and with it.
    """

    compile_ms: float
    workers: tuple[WorkerLoad, ...]
    vms: int
    resident_before_bytes: int
    resident_after_bytes: int

    @property
    def ready_ms(self) -> float:
        """From the hand-over until the last worker had it."""
        return max(worker.ready_ms for worker in self.workers)

    @property
    def plugin_bytes(self) -> int:
        """What the plugin brought along, code and memory of all its VMs."""
        return self.resident_after_bytes - self.resident_before_bytes


class BenchEnvoy:
    """An Envoy that takes connections at `port`, as yet without the plugin."""

    def __init__(
        self, running: Envoy, trace: Trace, port: int, workers: int, directory: Path, session: aiohttp.ClientSession
    ) -> None:
        self.port = port
        self._running = running
        self._trace = trace
        self._workers = workers
        self._directory = directory
        self._session = session
        self._started_s = time.time()

    async def unless_it_dies(self, work: Awaitable[_T]) -> _T:
        """The outcome of `work`; raises PartDied as soon as Envoy ends."""
        died = self._running.died
        task = asyncio.ensure_future(work)
        try:
            either: set[asyncio.Future[Any]] = {task, died}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if died.done():
                raise died.result()
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def take(self, side: Side) -> None:
        """Send all further requests this way; some milliseconds later the workers know."""
        await self._tell(switch(side))

    async def log_at(self, level: LogLevel) -> None:
        """What is logged about Wasm from now on, the plugin's own words too. Returns when all before was read."""
        told = self._level_changes()
        await self._tell(f"/logging?wasm={level}")
        async with _in_time(_ANSWER_S, "does not say that its log level is another"):
            while True:
                if self._level_changes() > told:
                    return
                await asyncio.sleep(0.01)

    async def load(self, candidate: Candidate, log_level: LogLevel) -> Loaded:
        """Hand the plugin over, wait until every worker has it. From then on it is logged at `log_level`.

        Raises PluginRefused, with what Envoy and the plugin said, and EnvironmentProblem when nothing comes of it in
        `LOAD_S`.
        """
        await self._round_trips()
        resident, vms = self.resident_bytes(), await self._vms()
        # What each VM does at its start is told at this level, thread by thread, and nowhere else.
        await self.log_at("trace")
        since = len(self._trace.events)
        file = self._directory / "plugin.wasm"
        file.write_bytes(candidate.module)
        handed_s = time.time()
        resource = plugin(file, candidate.configuration, allow_stop_iteration=candidate.shim)
        _hand_over(self._directory, resource)
        await self._until_loaded(since, candidate)
        await self._round_trips()
        await self.log_at(log_level)
        told = [entry for entry in self.log() if entry.about_wasm and entry.at_s >= handed_s]
        threads = self._threads()
        return Loaded(
            _compile_ms(told, self._running.pid),
            tuple(
                _worker_load(number, [entry for entry in told if entry.thread == thread], handed_s)
                for thread, number in sorted(threads.items(), key=lambda item: item[1])
            ),
            await self._vms() - vms,
            resident,
            self.resident_bytes(),
        )

    def log(self) -> list[LogEntry]:
        """All that Envoy has said until now."""
        return read_log(self._directory / "envoy.log", self._started_s)

    async def ready(self) -> None:
        """Wait until the listener answers."""
        async with _in_time(_ANSWER_S, "does not take connections"):
            while True:
                if await self._running.admin.listener_ready(PLUGIN):
                    return await self._round_trips()
                await asyncio.sleep(0.01)

    async def _until_loaded(self, since: int, candidate: Candidate) -> None:
        """Until each worker has begun its VM, or Envoy has refused the plugin."""
        begun = 0

        def decided(event: Event) -> bool:
            nonlocal begun
            begun += event.event == "envoy.worker_ready"
            return begun == self._workers or _is_refusal(event)

        async with _in_time(LOAD_S, "has not loaded the plugin"):
            event = await self._trace.wait_for(decided, since)
        if _is_refusal(event):
            log = [entry for entry in self.log() if entry.about_wasm]
            of_configuration = any("Failed to configure" in entry.text for entry in log)
            hint = NO_CONFIGURATION if of_configuration and not candidate.configuration.text else None
            raise PluginRefused(reasons(log) or str(event.data["text"]), log=log, hint=hint)

    async def _round_trips(self) -> None:
        """Have every worker answer: it has then done all that it was told before.

        Connections are shared out evenly, so enough of them at once reach all workers.
        """
        opened = []
        try:
            async with _in_time(_ANSWER_S, "does not answer"):
                for _ in range(_ROUND_TRIPS_PER_WORKER * self._workers):
                    opened.append(await asyncio.open_connection("127.0.0.1", self.port))
                for _, writer in opened:
                    writer.write(b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n")
                for reader, _ in opened:
                    await reader.readuntil(b"\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError) as error:
            raise EnvironmentProblem(f"Envoy does not answer at 127.0.0.1:{self.port}: {error}") from error
        finally:
            for _, writer in opened:
                writer.transport.abort()

    def _level_changes(self) -> int:
        return sum("change log level" in entry.text for entry in self.log())

    async def _vms(self) -> int:
        return sum((await self._running.admin.stats(r"^wasm\..*\.active$")).values())

    async def _tell(self, path: str) -> None:
        try:
            async with self._session.post(f"http://{self._running.admin.address}{path}") as response:
                response.raise_for_status()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise EnvironmentProblem(f"Envoy's admin interface refuses {path}: {error}") from error

    def resident_bytes(self) -> int:
        try:
            for line in Path(f"/proc/{self._running.pid}/status").read_text(encoding="utf-8").splitlines():
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        except OSError as error:
            raise PartDied("envoy", f"it has gone: {error}", log_tail=self._running.log_tail) from error
        raise EnvironmentProblem("the kernel does not tell Envoy's memory (VmRSS)")

    def _threads(self) -> dict[int, int]:
        """The workers' numbers by their threads."""
        found = {}
        for task in Path(f"/proc/{self._running.pid}/task").iterdir():
            name = (task / "comm").read_text(encoding="utf-8").strip()
            if name.startswith("wrk:worker_"):
                found[int(task.name)] = int(name.removeprefix("wrk:worker_"))
        return found


@asynccontextmanager
async def bench_envoy(binary: EnvoyBinary, directory: Path, workers: int) -> AsyncIterator[BenchEnvoy]:
    """Such an Envoy, which answers when entered and has gone when left; its files are in `directory`."""
    trace = Trace()
    with reserved_port() as port, reserved_port() as upstream_port:
        _hand_over(directory, no_plugin())
        options = EnvoyOptions(
            binary=binary,
            bootstrap=bench_bootstrap(port, upstream_port, directory / _ECDS),
            directory=directory,
            workers=workers,
        )
        timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
        async with envoy(options, trace) as running, aiohttp.ClientSession(timeout=timeout) as session:
            made = BenchEnvoy(running, trace, port, workers, directory, session)
            try:
                await made.unless_it_dies(made.ready())
                yield made
            except BaseException:
                # Its main thread may compile for seconds to come, and would not hear that it is to end.
                running.kill()
                raise


_ECDS = "ecds.json"


def _hand_over(directory: Path, resource: dict[str, Any]) -> None:
    """Envoy reads the file anew when another is moved into its place."""
    made = directory / f"{_ECDS}.new"
    made.write_text(json.dumps(resource), encoding="utf-8")
    made.replace(directory / _ECDS)


def _is_refusal(event: Event) -> bool:
    return event.event == "envoy.log" and "config update rejected" in str(event.data.get("text"))


def _compile_ms(told: Sequence[LogEntry], main_thread: int) -> float:
    """On the main thread: from when it takes the code in hand until it has gone on to anything else."""
    main = [entry for entry in told if entry.thread == main_thread]
    start = next(index for index, entry in enumerate(main) if "Base Wasm created" in entry.text)
    return (main[start + 1].at_s - main[start].at_s) * 1e3


def _worker_load(number: int, told: Sequence[LogEntry], handed_s: float) -> WorkerLoad:
    first, last = told[0], told[-1]
    return WorkerLoad(number, (last.at_s - handed_s) * 1e3, None if first is last else (last.at_s - first.at_s) * 1e3)


@asynccontextmanager
async def _in_time(seconds: float, what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise EnvironmentProblem(
            f"Envoy {what} after {seconds:g} s", hint="is the machine overloaded? Else the module may loop for ever"
        ) from error
