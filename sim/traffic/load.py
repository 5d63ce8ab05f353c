"""A load of a scenario: a probe in a process of its own, and what it reports as it comes in."""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from sim.errors import EnvironmentProblem, PartDied
from sim.trace import Trace
from sim.traffic.process import ModuleProcess
from sim.traffic.rollout import Rollout, Versions
from sim.traffic.samples import Attribute, Connections, Sample, Samples, Signature, by_header, unattributed

#: How many `traffic.failed` events one load emits; every failure is in the samples and the summary.
FAILED_EVENTS = 1000
#: What leaving waits for beyond the time-out of the last request.
SUMMARY_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """What a load sends, and how its responses are read.

    `fail_status` lists codes (`429`) and classes (`"5xx"`). `attribute` names the plugin version of a signature;
    by default the value of `version_header` is it. `gateway` names where it goes, in a run with several.
    """

    name: str
    gateway: str = ""
    rate_per_s: float
    connections: int = 1
    method: str = "GET"
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    authority: str | None = None
    body: str = ""
    timeout_ms: float = 5000
    fail_status: tuple[str | int, ...] = ("5xx",)
    version_header: str | None = None
    attribute: Attribute | None = None
    protocol: str = "http/1.1"

    @property
    def switches(self) -> bool:
        """Whether a connection meets a new version at all: streams and WebSockets end as they began."""
        return self.protocol in ("http/1.1", "http/2")

    @property
    def attribution(self) -> Attribute:
        if self.attribute is not None:
            return self.attribute
        return by_header(self.version_header) if self.version_header else unattributed

    def configuration(self, host: str, port: int) -> dict[str, Any]:
        """The probe's first line."""
        return {
            "name": self.name,
            "host": host,
            "port": port,
            "rate_per_s": self.rate_per_s,
            "connections": self.connections,
            "method": self.method,
            "path": self.path,
            "headers": dict(self.headers),
            "authority": self.authority,
            "body": self.body,
            "timeout_ms": self.timeout_ms,
            "fail_status": list(self.fail_status),
            "version": {"header": self.version_header},
            "protocol": self.protocol,
        }


class Load:
    """Traffic for as long as the context lasts. Entered: a first response has come. Left: the process is gone.

    Emits `traffic.first_response` when a version answers that no connection was at (so again after a rollback),
    `traffic.failed` (at most `FAILED_EVENTS`), `traffic.connection_opened`, `…_broken`, `…_drained` and `…_closed`
    (by the probe, after a time-out); their `t_ns` is the probe's own.

    Entering raises EnvironmentProblem when nothing answers within `start_within_s`. The waits and `watch` raise
    PartDied when the process ends unasked, and so does leaving, unless an exception is already on its way.
    """

    def __init__(self, spec: LoadSpec, host: str, port: int, trace: Trace, *, start_within_s: float = 10.0) -> None:
        self.spec = spec
        self.samples = Samples(spec.attribution)
        self.connections = Connections()
        #: Samples that the probe had to drop because we read too slowly; known once the context was left.
        self.dropped = 0
        #: Whether the probe wrote its totals: every sample was read.
        self.complete = False
        #: Requests a second, as last asked for.
        self.rate_per_s = spec.rate_per_s
        self._host = host
        self._port = port
        self._trace = trace
        self._start_within_s = start_within_s
        self._versions = Versions()
        self._failed_events = 0
        self._refusal = ""
        self._stopping = False
        self._failure: Exception | None = None
        self._news = asyncio.Event()
        self._process: ModuleProcess | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._process = await ModuleProcess.start("sim.traffic.probe")
        self._reader = asyncio.create_task(self._read(self._process), name=f"load-{self.spec.name}")
        try:
            await self._process.tell(self.spec.configuration(self._host, self._port))
            async with asyncio.timeout(self._start_within_s):
                while not any(sample.status is not None for sample in self.samples):
                    await self._more()
        except TimeoutError:
            await self._end()
            raise EnvironmentProblem(
                f"traffic.{self.spec.name} got no response from {self._host}:{self._port}"
                f" within {self._start_within_s:g} s{self._last_refusal()}",
                hint="check that the gateway listens there and that its route answers",
            ) from None
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._reader is not None
        if self._failure is None:
            self._stopping = True
            await self._process.tell({"do": "stop"})
            grace_s = SUMMARY_S + (self.spec.timeout_ms / 1000 if error is None else 0)
            await asyncio.wait({self._reader}, timeout=grace_s)
        await self._end()
        if error is not None:
            return
        if self._failure is not None:
            raise self._failure
        if not self.complete:
            raise PartDied(
                f"traffic.{self.spec.name}",
                "it was stopped and did not report its totals, so samples may be missing",
                log_tail=self._process.log_tail,
                hint="its last words are in the log tail; if there are none, the machine may be overloaded",
            )

    async def set_rate(self, rate_per_s: float) -> None:
        """From now on so many requests a second; 0 pauses."""
        assert self._process is not None
        await self._process.tell({"do": "rate", "rate_per_s": rate_per_s})
        self.rate_per_s = rate_per_s

    async def watch(self) -> None:
        """Return when the load is stopped; raise PartDied when its process ends before."""
        while not self._stopping:
            await self._more()

    async def first_response(self, version: str | None, since_ns: int, attribute: Attribute | None = None) -> Sample:
        """The first response by `version` that arrived at `since_ns` or later, past or to come.

        `attribute` reads the versions of another plugin than the load's own.
        """
        rollout = Rollout(self.samples, version, since_ns, attribute)
        while rollout.advance() is None:
            await self._more()
        assert rollout.first is not None
        return rollout.first

    async def settled(
        self,
        version: str | None,
        since_ns: int,
        responses: int | None = None,
        attribute: Attribute | None = None,
    ) -> int | None:
        """Wait until `version` alone answers: it was the latest on every open connection, and the last `responses`
        (by default two for each connection) were all by it.

        Returns the time of the last response by any other version at `since_ns` or later, None if there was none.
        """
        needed = 2 * self.spec.connections if responses is None else responses
        rollout = Rollout(self.samples, version, since_ns, attribute)
        while True:
            rollout.advance()
            if rollout.streak >= needed and rollout.holds(self.connections.open):
                return rollout.last_other_ns
            await self._more()

    async def _more(self) -> None:
        """Wait until the probe has told something."""
        if self._failure is not None:
            raise self._failure
        self._news.clear()
        await self._news.wait()
        if self._failure is not None:
            raise self._failure

    async def _read(self, process: ModuleProcess) -> None:
        try:
            while (line := await process.read()) is not None:
                self._take(line)
                self._tell_waiting()
            if not self._stopping:
                status = await process.exited()
                self._failure = PartDied(
                    f"traffic.{self.spec.name}",
                    f"its process ended with status {status}",
                    log_tail=process.log_tail,
                    hint="its last words are in the log tail; a negative status is the signal that ended it",
                )
        except Exception as failure:  # noqa: BLE001  whatever it is, those who wait for responses have to hear of it
            self._failure = failure
        finally:
            self._tell_waiting()

    async def _end(self) -> None:
        self._stopping = True
        assert self._process is not None
        assert self._reader is not None
        self._reader.cancel()
        await asyncio.wait({self._reader})
        await self._process.stop()
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        self._news.set()

    def _last_refusal(self) -> str:
        return f" ({self._refusal})" if self._refusal else ""

    def _take(self, line: dict[str, Any]) -> None:
        ((kind, told),) = line.items()
        if kind == "samples":
            for row in told:
                self.samples.append(row)
                self._notice(self.samples[-1])
        elif kind == "signature":
            number, status, headers, body = told
            self.samples.define(number, Signature(status, headers, binascii.a2b_base64(body)))
        elif kind == "refused":
            self.connections.refused += 1
            self._refusal = told["why"]
        elif kind == "summary":
            self.dropped = told["dropped"]
            self.complete = True
        else:
            self._take_connection(kind, told)

    def _take_connection(self, kind: str, told: dict[str, Any]) -> None:
        number = told["connection"]
        setattr(self.connections, kind, getattr(self.connections, kind) + 1)
        if kind == "opened":
            self.connections.open.add(number)
        else:
            self.connections.open.discard(number)
            self._versions.forget(number)
        facts = {"why": told["why"]} if "why" in told else {}
        self._trace.emit(
            f"traffic.connection_{kind}",
            t_ns=told["t_ns"],
            load=self.spec.name,
            connection=number,
            **facts,
        )

    def _notice(self, sample: Sample) -> None:
        if self._versions.is_new(sample):
            self._trace.emit(
                "traffic.first_response",
                t_ns=sample.done_ns,
                load=self.spec.name,
                version=sample.version,
                status=sample.status,
                connection=sample.connection,
            )
        if sample.failed and self._failed_events < FAILED_EVENTS:
            self._failed_events += 1
            self._trace.emit(
                "traffic.failed",
                t_ns=sample.done_ns,
                load=self.spec.name,
                error=sample.error,
                status=sample.status,
                connection=sample.connection,
                due_ns=sample.due_ns,
                sent_ns=sample.sent_ns,
            )
