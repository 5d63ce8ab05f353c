"""The probe in its own process, against servers that behave and misbehave as told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

import pytest

from sim.errors import EnvironmentProblem, PartDied
from sim.trace import Trace
from sim.traffic.load import Load, LoadSpec
from sim.traffic.samples import Signature
from sim.traffic.summary import summarise

PATIENCE_S = 30


@dataclass
class Exchange:
    """One request as the server got it; numbers count from 0."""

    connection: int
    nth: int
    number: int
    head: bytes
    writer: asyncio.StreamWriter

    def respond(self, version: str | None = "1.0.0", status: int = 200, body: str = "ok", extra: str = "") -> None:
        mark = f"x-plugin-version: {version}\r\n" if version else ""
        self.writer.write(
            f"HTTP/1.1 {status} Whatever\r\ndate: now{self.number}\r\ncontent-length: {len(body)}\r\n{mark}{extra}\r\n"
            f"{body}".encode()
        )

    def reset(self) -> None:
        self.writer.transport.abort()


Behaviour = Callable[[Exchange], Awaitable[None] | None]


class Server:
    """What the tests ask a running server."""

    def __init__(self, port: int, writers: dict[int, asyncio.StreamWriter], exchanges: list[Exchange]) -> None:
        self.port = port
        self.writers = writers
        self.exchanges = exchanges

    def close_connections(self) -> None:
        for writer in self.writers.values():
            writer.close()


@asynccontextmanager
async def serving(behaviour: Behaviour, port: int = 0) -> AsyncIterator[Server]:
    """A server on 127.0.0.1 that does as `behaviour` says with each request."""
    writers: dict[int, asyncio.StreamWriter] = {}
    exchanges: list[Exchange] = []
    tasks: set[asyncio.Task[None]] = set()
    connections, requests = count(), count()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        connection = next(connections)
        writers[connection] = writer
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            for nth in count():
                head = await reader.readuntil(b"\r\n\r\n")
                exchange = Exchange(connection, nth, next(requests), head, writer)
                exchanges.append(exchange)
                result = behaviour(exchange)
                if result is not None:
                    await result
        del writers[connection]
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", port)
    try:
        yield Server(server.sockets[0].getsockname()[1], writers, exchanges)
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def users(**changes: Any) -> LoadSpec:
    given: dict[str, Any] = {"name": "users", "rate_per_s": 200, "version_header": "x-plugin-version", **changes}
    return LoadSpec(**given)


async def samples_of(load: Load, number: int) -> None:
    """Wait until the load has so many samples."""
    async with asyncio.timeout(PATIENCE_S):
        while len(load.samples) < number:
            before = load.samples[-1].done_ns
            await load.first_response("1.0.0", before + 1)


async def event(trace: Trace, name: str, **data: Any) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        return await trace.wait_for(
            lambda seen: seen.event == name and all(seen.data.get(key) == value for key, value in data.items())
        )


def count_of(trace: Trace, name: str) -> int:
    return sum(seen.event == name for seen in trace)


async def test_a_steady_server_answers_every_request_on_connections_that_stay_open() -> None:
    trace = Trace()
    async with serving(lambda exchange: exchange.respond()) as server:
        async with Load(users(connections=4), "127.0.0.1", server.port, trace) as load:
            await samples_of(load, 40)
        assert {exchange.connection for exchange in server.exchanges} == {0, 1, 2, 3}
        assert len(load.samples) == len(server.exchanges)
    result = summarise(load)
    assert result["requests"] == len(server.exchanges) >= 40
    assert result["failed"] == 0
    assert result["by_version"] == {"1.0.0": result["requests"]}
    assert result["by_status"] == {"200": result["requests"]}
    assert (result["connections_opened"], result["connections_broken"], result["connections_drained"]) == (4, 0, 0)
    assert result["latency_ms"]["max"] > 0
    assert load.complete
    assert load.dropped == 0
    assert count_of(trace, "traffic.first_response") == 1
    assert count_of(trace, "traffic.connection_opened") == 4


async def test_the_order_of_each_samples_times_is_due_sent_first_byte_done() -> None:
    async with (
        serving(lambda exchange: exchange.respond()) as server,
        Load(users(connections=2), "127.0.0.1", server.port, Trace()) as load,
    ):
        await samples_of(load, 20)
    for sample in load.samples:
        assert sample.sent_ns is not None
        assert sample.first_byte_ns is not None
        assert sample.due_ns <= sample.sent_ns <= sample.first_byte_ns <= sample.done_ns


async def test_requests_are_due_at_even_intervals_whatever_the_server_does() -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.1 if exchange.number == 3 else 0)
        exchange.respond()

    async with (
        serving(slow) as server,
        Load(users(), "127.0.0.1", server.port, Trace()) as load,
    ):
        await samples_of(load, 40)
    dues = sorted(sample.due_ns for sample in load.samples)
    assert all(abs(later - earlier - 5_000_000) <= 1 for earlier, later in pairwise(dues))
    stalled = load.samples[3]
    assert any(stalled.sent_ns < sample.due_ns < stalled.done_ns <= sample.sent_ns for sample in load.samples)  # type: ignore[operator]  # all were sent


async def test_an_announced_close_is_a_drained_connection_and_loses_nothing() -> None:
    def drain(exchange: Exchange) -> None:
        exchange.respond(extra="connection: close\r\n" if exchange.nth == 4 else "")
        if exchange.nth == 4:
            exchange.writer.close()

    trace = Trace()
    async with serving(drain) as server:
        async with Load(users(connections=2), "127.0.0.1", server.port, trace) as load:
            await samples_of(load, 40)
        announced = sum(exchange.nth == 4 for exchange in server.exchanges)
    result = summarise(load)
    assert result["failed"] == 0
    assert result["connections_broken"] == 0
    assert result["connections_drained"] == announced >= 4
    assert count_of(trace, "traffic.connection_drained") == announced
    assert result["connections_opened"] >= announced


async def test_a_response_that_ends_with_its_connection_is_complete() -> None:
    def old(exchange: Exchange) -> None:
        exchange.writer.write(b"HTTP/1.1 200 OK\r\n\r\nversion one")
        exchange.writer.close()

    spec = users(version_header=None, attribute=lambda signature: signature.body.decode().removeprefix("version "))
    async with (
        serving(old) as server,
        Load(spec, "127.0.0.1", server.port, Trace()) as load,
    ):
        await load.first_response("one", load.samples[0].done_ns + 1)
    result = summarise(load)
    assert result["failed"] == result["connections_broken"] == 0
    assert result["connections_drained"] == result["requests"] == result["by_version"]["one"]


async def test_a_reset_within_a_response_is_a_failed_request_and_a_broken_connection() -> None:
    def cut(exchange: Exchange) -> None:
        if exchange.number == 5:
            exchange.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
            exchange.reset()
        else:
            exchange.respond()

    trace = Trace()
    async with (
        serving(cut) as server,
        Load(users(), "127.0.0.1", server.port, trace) as load,
    ):
        await samples_of(load, 20)
    result = summarise(load)
    assert result["failed"] == result["connections_broken"] == 1
    assert result["connections_opened"] == 2
    assert [sample.error for sample in load.samples if sample.failed] == ["broken"]
    assert (await event(trace, "traffic.failed")).data["error"] == "broken"
    assert count_of(trace, "traffic.connection_broken") == 1


async def test_an_end_of_file_instead_of_a_response_is_a_failed_request() -> None:
    def leave(exchange: Exchange) -> None:
        if exchange.number == 2:
            exchange.writer.close()
        else:
            exchange.respond()

    async with (
        serving(leave) as server,
        Load(users(), "127.0.0.1", server.port, Trace()) as load,
    ):
        await samples_of(load, 10)
    result = summarise(load)
    assert (result["failed"], result["connections_broken"], result["connections_drained"]) == (1, 1, 0)


async def test_an_idle_connection_that_ends_is_broken_but_fails_no_request() -> None:
    trace = Trace()
    # One request at the start and the next long after the test: in between all connections are idle.
    async with (
        serving(lambda exchange: exchange.respond()) as server,
        Load(users(rate_per_s=0.001, connections=3), "127.0.0.1", server.port, trace) as load,
        asyncio.timeout(PATIENCE_S),
    ):
        server.close_connections()
        for number in (3, 4, 5):
            await event(trace, "traffic.connection_opened", connection=number)
        await load.set_rate(200)
        await load.settled("1.0.0", load.samples[-1].done_ns + 1)
    result = summarise(load)
    assert result["connections_broken"] == 3
    assert result["connections_opened"] == 6
    assert {seen.data["why"] for seen in trace if seen.event == "traffic.connection_broken"} == {
        "end of file while idle"
    }
    assert result["failed"] == 0


async def test_a_5xx_is_a_failed_request_on_a_connection_that_lives_on() -> None:
    trace = Trace()
    async with (
        serving(lambda exchange: exchange.respond(status=503 if exchange.number % 4 == 3 else 200)) as server,
        Load(users(), "127.0.0.1", server.port, trace) as load,
    ):
        await samples_of(load, 20)
    result = summarise(load)
    assert result["failed"] == result["by_status"]["503"] >= 4
    assert result["connections_opened"] == 1
    assert result["by_version"]["1.0.0"] == result["requests"]
    assert count_of(trace, "traffic.failed") == result["failed"]


async def test_what_counts_as_failed_can_be_said() -> None:
    statuses = [200, 503, 429, 403]
    async with (
        serving(lambda exchange: exchange.respond(status=statuses[exchange.number % 4])) as server,
        Load(users(fail_status=(429,)), "127.0.0.1", server.port, Trace()) as load,
    ):
        await samples_of(load, 12)
    assert {sample.status for sample in load.samples if sample.failed} == {429}
    assert {sample.status for sample in load.samples} == set(statuses)


async def test_a_time_out_is_a_failure_and_the_probes_own_close() -> None:
    trace = Trace()
    async with (
        serving(lambda exchange: exchange.respond() if exchange.number != 4 else None) as server,
        Load(users(rate_per_s=50, timeout_ms=300), "127.0.0.1", server.port, trace) as load,
    ):
        await event(trace, "traffic.connection_closed", why="timeout")
        await load.first_response("1.0.0", load.samples[-1].done_ns + 1)
    result = summarise(load)
    assert result["connections_broken"] == result["connections_drained"] == 0
    assert load.connections.closed == 1
    assert result["connections_opened"] == 2
    assert {sample.error for sample in load.samples if sample.failed} == {"timeout"}
    assert result["latency_ms"]["max"] <= 300


async def test_nobody_listening_is_a_problem_of_the_environment() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentProblem, match=f"127.0.0.1:{port}.*Connect call failed"):
            async with Load(users(), "127.0.0.1", port, Trace(), start_within_s=1):
                pass


async def test_an_impossible_request_says_why_in_the_log_tail() -> None:
    with pytest.raises(PartDied) as caught:
        async with Load(users(path="/a path"), "127.0.0.1", 1, Trace()):
            pass
    assert "HTTP/1.1" in caught.value.log_tail


async def test_requests_are_refused_while_the_server_is_away_and_answered_when_it_is_back() -> None:
    trace = Trace()
    async with serving(lambda exchange: exchange.respond()) as server:
        load = Load(users(connections=2), "127.0.0.1", server.port, trace)
        await load.__aenter__()
    try:
        await event(trace, "traffic.failed", error="refused")
        async with serving(lambda exchange: exchange.respond("2.0.0"), server.port):
            async with asyncio.timeout(PATIENCE_S):
                await load.first_response("2.0.0", 0)
    finally:
        await load.__aexit__(None, None, None)
    assert load.connections.refused > 0
    assert load.connections.broken >= 2


async def test_a_new_version_is_seen_first_on_one_connection_and_settles_on_all() -> None:
    version_of = {0: "1.0.0", 1: "1.0.0", 2: "1.0.0"}
    trace = Trace()
    async with (
        serving(lambda exchange: exchange.respond(version_of[exchange.connection])) as server,
        Load(users(connections=3), "127.0.0.1", server.port, trace) as load,
        asyncio.timeout(PATIENCE_S),
    ):
        began_ns = load.samples[0].done_ns
        assert await load.settled("1.0.0", began_ns) is None
        changed_ns = trace.clock.monotonic_ns()
        version_of[1] = "2.0.0"
        first = await load.first_response("2.0.0", changed_ns)
        waiting = asyncio.create_task(load.settled("2.0.0", changed_ns))
        await load.first_response("1.0.0", first.done_ns + 1)
        assert not waiting.done()
        version_of.update({0: "2.0.0", 2: "2.0.0"})
        settled_ns = await waiting
        version_of.update(dict.fromkeys(version_of, "1.0.0"))
        back_ns = trace.clock.monotonic_ns()
        await load.settled("1.0.0", back_ns)
    assert first.done_ns >= changed_ns
    others = [sample.done_ns for sample in load.samples if sample.version == "1.0.0" and sample.done_ns < back_ns]
    assert settled_ns == max(others) > first.done_ns
    firsts = [seen for seen in trace if seen.event == "traffic.first_response"]
    assert [seen.data["version"] for seen in firsts] == ["1.0.0", "2.0.0", "1.0.0"]
    assert firsts[1].t_ns == first.done_ns
    assert firsts[1].data == {"load": "users", "version": "2.0.0", "status": 200, "connection": first.connection}


async def test_versions_can_be_told_by_any_rule_over_status_headers_and_body() -> None:
    def rule(signature: Signature) -> str | None:
        if signature.status == 403 and b"blocked" in signature.body:
            return signature.headers["x-plugin-version"] + "!"
        return None

    async with (
        serving(
            lambda exchange: exchange.respond(status=403, body="blocked") if exchange.nth else exchange.respond()
        ) as server,
        Load(users(attribute=rule), "127.0.0.1", server.port, Trace()) as load,
        asyncio.timeout(PATIENCE_S),
    ):
        await load.first_response("1.0.0!", 0)
        by_status = await load.first_response("403", 0, lambda signature: str(signature.status))
    result = summarise(load)
    assert by_status.version == "403"
    assert result["failed"] == 0
    assert result["by_version"]["none"] == 1
    assert all("date" not in signature.headers for signature in load.samples.signatures.values())
    assert len(load.samples.signatures) == 2


async def test_two_loads_run_side_by_side() -> None:
    async with (
        serving(lambda exchange: exchange.respond("1.0.0")) as one,
        serving(lambda exchange: exchange.respond("2.0.0")) as two,
        Load(users(), "127.0.0.1", one.port, Trace()) as first,
        Load(users(name="others", rate_per_s=100, connections=2), "127.0.0.1", two.port, Trace()) as second,
        asyncio.timeout(PATIENCE_S),
    ):
        await first.settled("1.0.0", 0)
        await second.settled("2.0.0", 0)
    assert set(summarise(first)["by_version"]) == {"1.0.0"}
    assert set(summarise(second)["by_version"]) == {"2.0.0"}
    assert (summarise(first)["requests"], summarise(second)["requests"]) == (len(one.exchanges), len(two.exchanges))


async def test_the_rate_can_be_changed_while_it_runs() -> None:
    async with (
        serving(lambda exchange: exchange.respond()) as server,
        Load(users(rate_per_s=0.01), "127.0.0.1", server.port, Trace()) as load,
    ):
        await load.set_rate(500)
        await samples_of(load, 20)
    dues = [sample.due_ns for sample in load.samples[1:]]
    assert all(abs(later - earlier - 2_000_000) <= 1 for earlier, later in pairwise(dues))


async def test_a_probe_that_dies_ends_the_run_with_its_name() -> None:
    async with serving(lambda exchange: exchange.respond()) as server:
        with pytest.raises(PartDied, match=r"traffic\.users died: its process ended with status -9"):
            async with Load(users(), "127.0.0.1", server.port, Trace()) as load:
                watching = asyncio.create_task(load.watch())
                assert load._process is not None
                os.kill(load._process.pid, signal.SIGKILL)
                with pytest.raises(PartDied):
                    await load.first_response("never", 0)
                with pytest.raises(PartDied):
                    await watching


async def test_watching_ends_quietly_with_the_load() -> None:
    async with serving(lambda exchange: exchange.respond()) as server:
        async with Load(users(), "127.0.0.1", server.port, Trace()) as load:
            watching = asyncio.create_task(load.watch())
        async with asyncio.timeout(PATIENCE_S):
            await watching


async def test_a_load_that_is_left_by_an_error_passes_the_error_on_and_is_gone() -> None:
    async with serving(lambda exchange: exchange.respond()) as server:
        with pytest.raises(ZeroDivisionError):
            async with Load(users(), "127.0.0.1", server.port, Trace()) as load:
                raise ZeroDivisionError
        assert load._process is not None
        assert load._process.has_ended


@pytest.fixture
def configuration() -> Iterator[Callable[..., bytes]]:
    def line(port: int, **changes: Any) -> bytes:
        given = {"host": "127.0.0.1", "port": port, "rate_per_s": 200, "connections": 2, **changes}
        return json.dumps(given).encode() + b"\n"

    yield line


async def by_hand() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sim.traffic.probe",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 22,
    )


async def test_a_probe_whose_parent_has_gone_leaves_at_once(configuration: Callable[..., bytes]) -> None:
    stalled = asyncio.Event()

    async with serving(lambda exchange: stalled.set()) as server:
        probe = await by_hand()
        assert probe.stdin is not None
        assert probe.stdout is not None
        probe.stdin.write(configuration(server.port))
        async with asyncio.timeout(PATIENCE_S):
            await stalled.wait()
            probe.stdin.close()
            told = await probe.stdout.read()
            assert await probe.wait() == 0
    assert b"summary" not in told


async def test_a_probe_whose_reader_has_gone_leaves_too(configuration: Callable[..., bytes]) -> None:
    async with serving(lambda exchange: exchange.respond()) as server:
        reading, writing = os.pipe()
        probe = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sim.traffic.probe", stdin=asyncio.subprocess.PIPE, stdout=writing
        )
        os.close(writing)
        assert probe.stdin is not None
        probe.stdin.write(configuration(server.port))
        os.close(reading)
        async with asyncio.timeout(PATIENCE_S):
            assert await probe.wait() == 0
        probe.stdin.close()


async def test_a_reader_that_stops_reading_does_not_stop_the_traffic(configuration: Callable[..., bytes]) -> None:
    enough = asyncio.Event()

    def respond(exchange: Exchange) -> None:
        exchange.respond()
        if exchange.number == 5000:
            enough.set()

    async with serving(respond) as server:
        probe = await by_hand()
        assert probe.stdin is not None
        assert probe.stdout is not None
        # As asyncio does it when its own buffer is full.
        transport: Any = probe._transport.get_pipe_transport(1)  # type: ignore[attr-defined]  # no public way
        transport.pause_reading()
        probe.stdin.write(configuration(server.port, rate_per_s=3000, timeout_ms=60000))
        async with asyncio.timeout(PATIENCE_S):
            await enough.wait()
            transport.resume_reading()
            probe.stdin.write(b'{"do":"stop"}\n')
            lines = [json.loads(line) for line in (await probe.stdout.read()).splitlines()]
            assert await probe.wait() == 0
    samples = sum(len(line.get("samples", [])) for line in lines)
    assert lines[-1] == {"summary": {"requests": samples, "failed": 0, "dropped": 0}}
    assert samples == len(server.exchanges) > 5000


async def test_a_probe_loads_nothing_but_the_standard_library_and_h11() -> None:
    asked = "import sys, sim.traffic.probe.__main__; print(*{name.partition('.')[0] for name in sys.modules})"
    python = await asyncio.create_subprocess_exec(
        sys.executable, "-c", asked, stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    told, _ = await python.communicate()
    third_party = {
        name for name in told.decode().split() if name not in sys.stdlib_module_names and not name.startswith("__")
    }
    assert third_party - {"_distutils_hack"} == {"h11", "sim"}
