"""When a type was last sent, for Discovery's debug pages."""

from __future__ import annotations

from sim.discovery.debug import SendTimes
from sim.model import CDS, LDS
from sim.trace import Trace


def test_the_newest_time_of_each_type_and_stream_is_known_until_the_stream_ends() -> None:
    trace = Trace()
    times = SendTimes(trace)
    trace.emit("discovery.push", type_url=CDS, stream=1)
    first = times.of(1, CDS)
    trace.emit("discovery.push", type_url=CDS, stream=1)
    trace.emit("discovery.push", type_url=CDS, stream=2)
    second = times.of(1, CDS)
    assert first is not None and second is not None and second >= first
    assert times.of(1, LDS) is None
    trace.emit("discovery.stream_closed", stream=1)
    assert times.of(1, CDS) is None
    assert times.of(2, CDS) is not None
