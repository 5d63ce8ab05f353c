"""A run of the probe: lanes, their schedule, and what is written about them."""

from __future__ import annotations

import asyncio
import time

from sim.traffic.probe.connection import Ending, Request
from sim.traffic.probe.lane import Lane
from sim.traffic.probe.output import Output
from sim.traffic.probe.schedule import Schedule
from sim.traffic.probe.settings import Settings
from sim.traffic.probe.signatures import Answer, SignatureTable

#: How often held samples are written and time-outs are looked for.
TICK_S = 0.05
#: How long the first request waits for the slowest connection once one is open.
PATIENCE_S = 1.0


class Run:
    """Offers requests to the lanes in turn, and writes a sample for each.

    Samples wait for the next tick, except that failures, new signatures and a connection's change of signature are
    written at once. The schedule begins when the connections are open, so a gateway that is still starting
    costs no failed request.
    """

    def __init__(self, settings: Settings, output: Output) -> None:
        self._settings = settings
        self._output = output
        self._lanes = [Lane(settings, self) for _ in range(settings.connections)]
        self._turn = 0
        self._schedule: Schedule | None = None
        self._rate_per_s = settings.rate_per_s
        self._timer: asyncio.TimerHandle | None = None
        self._signatures = SignatureTable(settings.version_header)
        self._latest: dict[int, int] = {}
        self._connections = 0
        self._outstanding = 0
        self._requests = 0
        self._failed = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def serve(self) -> None:
        """Run until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for index, lane in enumerate(self._lanes):
                    tasks.create_task(lane.keep_open(), name=f"lane-{index}")
                tasks.create_task(self._begin(), name="begin")
                while True:
                    await asyncio.sleep(TICK_S)
                    now_ns = time.monotonic_ns()
                    for lane in self._lanes:
                        lane.expire(now_ns)
                    self._output.flush()
        finally:
            self._stop_schedule()

    async def finish(self) -> None:
        """Let no further request become due; return when the last one was answered or has failed."""
        self._stop_schedule()
        self._schedule = None
        self._rate_per_s = 0.0
        await self._quiet.wait()

    def change_rate(self, rate_per_s: float) -> None:
        self._rate_per_s = rate_per_s
        if self._schedule is not None:
            self._stop_schedule()
            self._schedule.change_rate(rate_per_s, time.monotonic_ns())
            self._fire()

    def summarise(self) -> None:
        """Write the final line: totals, by which a reader can tell that it has read everything."""
        self._output.notice("summary", requests=self._requests, failed=self._failed, dropped=self._output.dropped)

    async def _begin(self) -> None:
        opened = [asyncio.ensure_future(lane.opened_once.wait()) for lane in self._lanes]
        try:
            await asyncio.wait(opened, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(opened, timeout=PATIENCE_S)
        finally:
            for waiting in opened:
                waiting.cancel()
        self._schedule = Schedule(self._rate_per_s, time.monotonic_ns())
        self._fire()

    def _stop_schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        schedule = self._schedule
        assert schedule is not None
        for due_ns in schedule.take(time.monotonic_ns()):
            self._outstanding += 1
            self._quiet.clear()
            self._lanes[self._turn].offer(due_ns)
            self._turn = (self._turn + 1) % len(self._lanes)
        next_due_ns = schedule.next_due_ns
        if next_due_ns is not None:
            self._timer = asyncio.get_running_loop().call_at(next_due_ns / 1e9, self._fire)

    def connection_number(self) -> int:
        self._connections += 1
        return self._connections - 1

    def response(self, connection: int, request: Request, answer: Answer) -> None:
        done_ns = time.monotonic_ns()
        error = None
        if done_ns - request.due_ns > self._settings.timeout_ns:
            error = "timeout"
        elif answer.status in self._settings.failing:
            error = "status"
        signature, new = self._signatures.number(answer)
        if new is not None:
            self._output.signature(signature, new)
        self._record(request, done_ns, answer.status, signature, connection, error)
        if error is not None or self._latest.get(connection) != signature:
            self._latest[connection] = signature
            self._output.flush()

    def no_response(self, connection: int | None, request: Request, error: str) -> None:
        self._record(request, time.monotonic_ns(), None, None, connection, error)
        self._output.flush()

    def opened(self, connection: int) -> None:
        self._output.notice("opened", t_ns=time.monotonic_ns(), connection=connection)

    def ended(self, connection: int, ending: Ending, why: str) -> None:
        self._latest.pop(connection, None)
        self._output.notice(ending, t_ns=time.monotonic_ns(), connection=connection, why=why)

    def refused(self, why: str) -> None:
        self._output.notice("refused", t_ns=time.monotonic_ns(), why=why)

    def _record(
        self,
        request: Request,
        done_ns: int,
        status: int | None,
        signature: int | None,
        connection: int | None,
        error: str | None,
    ) -> None:
        self._requests += 1
        self._failed += error is not None
        self._output.sample(
            (
                request.due_ns,
                request.sent_ns,
                request.first_byte_ns,
                done_ns,
                status,
                signature,
                connection,
                error,
            )
        )
        self._outstanding -= 1
        if not self._outstanding:
            self._quiet.set()
