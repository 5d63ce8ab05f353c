"""The rounds of a bench: steady traffic, with the plugin and without it in turn, and its samples by rounds."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sim.errors import SimError
from sim.plugin.bench_bootstrap import SIDE_HEADER, Side
from sim.plugin.bench_envoy import BenchEnvoy
from sim.plugin.bench_figures import Pair
from sim.plugin.trial import Asked
from sim.trace import Trace
from sim.traffic.load import Load, LoadSpec
from sim.traffic.samples import Sample, Signature

#: At the beginning of a round, until all workers know of it and nothing of the round before is on its way any more.
SETTLE_S = 0.02
#: Either way, before anything counts: V8 compiles what is called often once more, and better.
_WARM_UP_S = 1.0
#: A request without an answer by then has failed.
_TIMEOUT_MS = 2000.0


_ORDER: tuple[Side, Side] = ("with", "none")


class NothingToMeasure(SimError):
    """The plugin lets no request come to its end."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class TrafficPlan:
    """What is sent on one Envoy: `pairs` times two rounds of `round_s` each, as often a second as `rate_per_s` says."""

    request: Asked
    rate_per_s: float
    connections: int
    pairs: int
    round_s: float


@dataclass(frozen=True, slots=True)
class Round:
    """A stretch of time, on CLOCK_MONOTONIC, in which requests were due, and the way that they took."""

    side: Side
    start_ns: int
    end_ns: int


@dataclass(slots=True)
class Tally:
    """One way's requests. `overtaken` had to wait for a connection that a request the other way was on."""

    requests: int = 0
    failed: int = 0
    overtaken: int = 0
    by_status: Counter[int] = field(default_factory=Counter)

    @classmethod
    def sum(cls, tallies: Iterable[Tally]) -> Tally:
        whole = cls()
        for each in tallies:
            whole.requests += each.requests
            whole.failed += each.failed
            whole.overtaken += each.overtaken
            whole.by_status += each.by_status
        return whole

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "requests": self.requests,
            "failed": self.failed,
            "overtaken": self.overtaken,
            "by_status": {str(status): count for status, count in sorted(self.by_status.items())},
        }


@dataclass(frozen=True, slots=True)
class Rounds:
    """What one Envoy's traffic came to; a pair in which a round had no response is not in `pairs`."""

    pairs: list[Pair]
    plugin: Tally
    plain: Tally


async def alternate(envoy: BenchEnvoy, plan: TrafficPlan) -> Rounds:
    """Send the traffic, and switch between the two ways without a pause, so that both have the same of all else.

    Which of a pair comes first changes from pair to pair: what grows or shrinks steadily falls on both alike. Raises
    NothingToMeasure where the plugin answers nothing, PartDied or EnvironmentProblem where Envoy or the probe do not.
    """
    load = Load(_spec(plan), "127.0.0.1", envoy.port, Trace(keep=False))
    rounds: list[Round] = []
    async with load:
        for side in _ORDER:
            await envoy.take(side)
            await asyncio.sleep(_WARM_UP_S)
            if side == "with" and not any(sample.version == "with" for sample in load.samples):
                raise NothingToMeasure(
                    f"with the plugin no request was answered within {_WARM_UP_S:g} s",
                    hint="see what it does with one: ecdsim plugin test",
                )
        for number in range(plan.pairs):
            for side in _ORDER if number % 2 else reversed(_ORDER):
                await envoy.take(side)
                start_ns = time.monotonic_ns() + round(SETTLE_S * 1e9)
                await asyncio.sleep(plan.round_s)
                rounds.append(Round(side, start_ns, time.monotonic_ns()))
        # Who still waits for the plugin is answered before the connections go.
        await asyncio.sleep(SETTLE_S)
    found = cut(load.samples, rounds)
    if not found.pairs:
        raise NothingToMeasure(
            f"of {found.plugin.requests} requests with the plugin {found.plugin.failed} were not answered within"
            f" {_TIMEOUT_MS / 1e3:g} s",
            hint="lower --rate; and see what it does with a request: ecdsim plugin test",
        )
    return found


def cut(samples: Sequence[Sample], rounds: Sequence[Round]) -> Rounds:
    """The samples by rounds, two in a row a pair; what was due between two rounds does not count.

    A latency, in microseconds, runs from when the request was sent, or, where its connection was not free by then, from
    when it was due; it ends with the first bytes of the response. So what the probe itself was late by counts for
    neither way, and a stall of Envoy's for everyone who waited.
    """
    tallies: dict[Side, Tally] = {side: Tally() for side in _ORDER}
    latencies_us: list[list[float]] = [[] for _ in rounds]
    #: When each connection was free again, and which way the request on it had gone.
    before: dict[int, tuple[int, str | None]] = {}
    position = 0
    for sample in sorted(samples, key=lambda each: each.due_ns):
        free_ns, last_side = (0, None) if sample.connection is None else before.get(sample.connection, (0, None))
        if sample.connection is not None:
            before[sample.connection] = (sample.done_ns, sample.version)
        while position < len(rounds) and sample.due_ns > rounds[position].end_ns:
            position += 1
        if position == len(rounds):
            break
        side = rounds[position].side
        # A worker may not know of the round yet.
        if sample.due_ns < rounds[position].start_ns or sample.version not in (None, side):
            continue
        tally = tallies[side]
        tally.requests += 1
        waited = free_ns > sample.due_ns
        tally.overtaken += waited and last_side not in (None, side)
        if sample.status is not None:
            tally.by_status[sample.status] += 1
        if sample.failed or sample.first_byte_ns is None or sample.sent_ns is None:
            tally.failed += 1
        else:
            since_ns = sample.due_ns if waited else sample.sent_ns
            latencies_us[position].append((sample.first_byte_ns - since_ns) / 1e3)
    return Rounds(list(_pairs(rounds, latencies_us)), tallies["with"], tallies["none"])


def _pairs(rounds: Sequence[Round], latencies_us: Sequence[list[float]]) -> Iterator[Pair]:
    for first in range(0, len(rounds) - 1, 2):
        of = {rounds[index].side: latencies_us[index] for index in (first, first + 1)}
        if of["with"] and of["none"]:
            yield Pair(plain=of["none"], plugin=of["with"])


def _spec(plan: TrafficPlan) -> LoadSpec:
    asked = plan.request
    headers = {name.lower(): value for name, value in asked.headers}
    host = headers.pop("host", None)
    return LoadSpec(
        name="bench",
        rate_per_s=plan.rate_per_s,
        connections=plan.connections,
        method=asked.method,
        path=asked.target,
        headers=headers,
        authority=host or asked.host,
        body=asked.body.decode(),
        timeout_ms=_TIMEOUT_MS,
        # A plugin may well answer 503; that is its answer.
        fail_status=(),
        version_header=SIDE_HEADER,
        attribute=_side,
    )


def _side(signature: Signature) -> Side:
    """Which way it was: what the plugin answers by itself has no mark of a route, and is the plugin's."""
    return "none" if signature.headers.get(SIDE_HEADER) == "none" else "with"
