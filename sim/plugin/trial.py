"""Trying a plugin: one Envoy, one static filter, requests one after another, and what the plugin logged to each."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from sim.envoy import Envoy, EnvoyBinary, EnvoyOptions, envoy, reserved_port
from sim.errors import PartDied, SimError
from sim.plugin.configuration import Configuration
from sim.plugin.trial_bootstrap import Surroundings, trial_bootstrap
from sim.plugin.trial_log import LogEntry, read_log, reasons
from sim.trace import Trace
from sim.traffic.echo import Echo
from sim.wasm.abi import shimmed

#: A Go module takes Envoy seconds to compile, and a slow machine longer.
START_S = 60.0
#: What may have been the matter with a plugin that did not start.
NO_CONFIGURATION = "its configuration is empty; --config names a file with one"
_INSPECT = "look at it with ecdsim plugin inspect: what Envoy lacks or can't read of it is told there"
_CORRECT = "correct what the plugin complains of"
_TAIL_LINES = 6
_BY_SIGNAL = re.compile(r"exit status -(\d+)$")
#: A line of a stack trace without names.
_FRAME = re.compile(r"\[0x[0-9a-f]+\]")
_BODY_BYTES = 1 << 20
_NO_HTTP = b"?\r\n\r\n"


class PluginRefused(SimError):
    """Envoy did not load the module, or the plugin refused its configuration. `log` is what was said of it."""

    exit_code = 1

    def __init__(self, why: str, *, log: Sequence[LogEntry], hint: str | None = None) -> None:
        super().__init__(f"Envoy does not run the plugin: {why}", hint=hint)
        self.log = tuple(log)


class _NotUp(Exception):
    """Envoy runs, and the plugin in it has not come up in time."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. `target` begins with `/`; `host` is the Host header, None for the listener's address."""

    method: str
    target: str
    host: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.host or ''}{self.target}"


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a request: `error` where there was no response. `log` is what the plugin said to it."""

    asked: Asked
    status: int | None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    duration_ms: float = 0.0
    error: str | None = None
    log: tuple[LogEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried. `timeout_s` is for each request, `start_s` for Envoy to compile and start the plugin.

    `shim`: whether the ABI shim is applied to a module that needs it.
    """

    module: bytes
    configuration: Configuration
    requests: tuple[Asked, ...]
    surroundings: Surroundings = field(default_factory=Surroundings)
    timeout_s: float = 10.0
    start_s: float = START_S
    shim: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """`shim`: the ABI shim was applied. `ready_ms` is from Envoy's start until its listener took connections."""

    shim: bool
    ready_ms: float
    start_log: tuple[LogEntry, ...]
    answers: tuple[Answered, ...]

    @property
    def crash(self) -> str | None:
        """Where the plugin's VM crashed first and why; None where it did not."""
        entries = [*self.start_log, *(entry for answer in self.answers for entry in answer.log)]
        return next((entry.crash for entry in entries if entry.crash is not None), None)


async def run_trial(trial: Trial, binary: EnvoyBinary) -> Outcome:
    """Start an Envoy with the plugin, send the requests, stop it. Nothing is left, however this ends.

    Raises PluginRefused, EnvironmentProblem where no Envoy or upstream can be had, MalformedModule for what is no
    module.
    """
    module = shimmed(trial.module) if trial.shim else trial.module
    shim = module is not trial.module
    with tempfile.TemporaryDirectory(prefix="ecdsim-trial-") as folder:
        directory = Path(folder)
        file = directory / "plugin.wasm"
        file.write_bytes(module)
        started_s = time.time()
        try:
            ready_ms, windows = await _in_envoy(trial, binary, file, shim)
        except _NotUp as late:
            log = [entry for entry in read_log(directory / "envoy.log", started_s) if entry.about_wasm]
            raise PluginRefused(
                f"the plugin was not up within {trial.start_s:g} s",
                log=log,
                hint="does its start end? where Envoy only compiles for long, --start-timeout gives it more",
            ) from late
        except PartDied as death:
            log = read_log(directory / "envoy.log", started_s)
            raise _refusal(death, [entry for entry in log if entry.about_wasm], trial.configuration) from death
        log = [entry for entry in read_log(directory / "envoy.log", started_s) if entry.of_plugin or entry.is_problem]
    starts = [start_s for start_s, _ in windows]
    answers = []
    for index, (start_s, answer) in enumerate(windows):
        end_s = starts[index + 1] if index + 1 < len(starts) else float("inf")
        said = tuple(entry for entry in log if start_s <= entry.at_s < end_s)
        answers.append(
            Answered(answer.asked, answer.status, answer.headers, answer.body, answer.duration_ms, answer.error, said)
        )
    first_s = starts[0] if starts else float("inf")
    return Outcome(shim, ready_ms, tuple(entry for entry in log if entry.at_s < first_s), tuple(answers))


async def _in_envoy(
    trial: Trial, binary: EnvoyBinary, file: Path, shim: bool
) -> tuple[float, list[tuple[float, Answered]]]:
    """How long it took until ready, and each answer with the wall-clock time when its request was begun."""
    async with Echo() as upstream:
        with reserved_port() as port:
            options = EnvoyOptions(
                binary=binary,
                bootstrap=trial_bootstrap(
                    file, port, upstream.port, trial.configuration, trial.surroundings, allow_stop_iteration=shim
                ),
                directory=file.parent,
                workers=1,
                start_timeout_s=trial.start_s,
            )
            started = time.monotonic()
            async with envoy(options, Trace(keep=False)) as running:
                try:
                    async with asyncio.timeout(trial.start_s):
                        await _listening(running, port)
                except TimeoutError as late:
                    raise _NotUp from late
                ready_ms = (time.monotonic() - started) * 1e3
                return ready_ms, await _send_all(trial, port)


async def _listening(running: Envoy, port: int) -> None:
    """Wait until the worker serves, its VM made and configured; Envoy has no event to tell, so it has to be asked.

    What is asked is no HTTP: the worker refuses it by itself, before any filter, and before that does all that it was
    told when it was started.
    """
    while True:
        if running.died.done():
            raise running.died.result()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        try:
            writer.write(_NO_HTTP)
            refused = asyncio.ensure_future(reader.read(1))
            either: set[asyncio.Future[Any]] = {refused, running.died}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            refused.cancel()
            await asyncio.gather(refused, return_exceptions=True)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        if not running.died.done():
            return


async def _send_all(trial: Trial, port: int) -> list[tuple[float, Answered]]:
    timeout = aiohttp.ClientTimeout(total=trial.timeout_s)
    made = []
    async with aiohttp.ClientSession(
        timeout=timeout, auto_decompress=False, skip_auto_headers=("Accept-Encoding", "Content-Type")
    ) as session:
        for asked in trial.requests:
            made.append((time.time(), await _send(session, asked, port, trial.timeout_s)))
    return made


async def _send(session: aiohttp.ClientSession, asked: Asked, port: int, timeout_s: float) -> Answered:
    headers: list[tuple[str, str]] = list(asked.headers)
    if asked.host is not None and not any(name.lower() == "host" for name, _ in headers):
        headers.append(("Host", asked.host))
    started = time.monotonic()
    try:
        async with session.request(
            asked.method,
            URL(f"http://127.0.0.1:{port}{asked.target}", encoded=True),
            headers=headers,
            data=asked.body or None,
            allow_redirects=False,
        ) as response:
            body = await response.content.read(_BODY_BYTES)
            duration_ms = (time.monotonic() - started) * 1e3
            return Answered(asked, response.status, tuple(response.headers.items()), body, duration_ms)
    except TimeoutError:
        error = f"no answer within {timeout_s:g} s"
    except aiohttp.ClientError as failed:
        error = str(failed) or type(failed).__name__
    return Answered(asked, None, duration_ms=(time.monotonic() - started) * 1e3, error=error)


def _refusal(death: PartDied, log: list[LogEntry], configuration: Configuration) -> SimError:
    """Envoy ends at once where a static plugin can't be made; anything else is a death that explains itself."""
    by_signal = _BY_SIGNAL.search(death.message)
    if by_signal is not None:
        lines = [line for line in death.log_tail.splitlines() if not _FRAME.search(line)]
        tail = "\n  ".join(lines[-_TAIL_LINES:])
        return PluginRefused(
            f"it killed Envoy, by {_signal_name(int(by_signal[1]))}; the end of Envoy's log:\n  {tail}",
            log=log,
            hint="the module is more than Envoy's engine bears, such as far too many functions or exports",
        )
    why = reasons(log)
    if not why:
        return death
    of_plugin = any(entry.of_plugin and entry.is_complaint for entry in log)
    if not configuration.text and (of_plugin or "onfigur" in why):
        return PluginRefused(why, log=log, hint=NO_CONFIGURATION)
    return PluginRefused(why, log=log, hint=_CORRECT if of_plugin else _INSPECT)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def answers_as_data(outcome: Outcome) -> list[dict[str, Any]]:
    """Ready for JSON."""
    return [
        {
            "request": str(answer.asked),
            "status": answer.status,
            "headers": [list(header) for header in answer.headers],
            "body": answer.body.decode(errors="replace"),
            "duration_ms": round(answer.duration_ms, 3),
            "error": answer.error,
            "log": [entry.as_dict() for entry in answer.log],
        }
        for answer in outcome.answers
    ]
