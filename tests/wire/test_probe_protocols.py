"""What the probe speaks besides HTTP/1.1: HTTP/2, responses that go on, WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events
import pytest

from sim.trace import Trace
from sim.traffic.echo import STREAM_HEADER, Echo
from sim.traffic.load import Load, LoadSpec
from sim.traffic.samples import Sample

PATIENCE_S = 30

#: Called with the connection, the stream, and how many requests there were before on all connections.
Behaviour = Callable[[h2.connection.H2Connection, int, int], None]


def answer(connection: h2.connection.H2Connection, stream: int, version: str = "1.0.0") -> None:
    connection.send_headers(stream, [(":status", "200"), ("x-version", version)])
    connection.send_data(stream, b"ok", end_stream=True)


class Http2Server(asyncio.Protocol):
    """Does as told with each request."""

    def __init__(self, behaviour: Behaviour, requests: list[dict[str, str]]) -> None:
        self._behaviour = behaviour
        self._requests = requests
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._http.initiate_connection()
        transport.write(self._http.data_to_send())

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        for event in self._http.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self._requests.append({str(name): str(value) for name, value in event.headers})
                self._behaviour(self._http, event.stream_id, len(self._requests) - 1)
        self._transport.write(self._http.data_to_send())


@asynccontextmanager
async def http2_server(behaviour: Behaviour) -> AsyncIterator[tuple[int, list[dict[str, str]]]]:
    requests: list[dict[str, str]] = []
    server = await asyncio.get_running_loop().create_server(lambda: Http2Server(behaviour, requests), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], requests
    finally:
        server.close()


async def samples(load: Load, count: int) -> list[Sample]:
    """The first `count` samples, once they are there."""
    async with asyncio.timeout(PATIENCE_S):
        await load.settled(load.samples[0].version, 0, responses=count)
    return load.samples[:count]


def spec(protocol: str, **more: object) -> LoadSpec:
    facts = {"name": "users", "rate_per_s": 200.0, "connections": 2, "version_header": "x-version", **more}
    return LoadSpec(protocol=protocol, **facts)  # type: ignore[arg-type]  # the facts are the test's own


async def test_http2_sends_requests_over_connections_that_stay_open() -> None:
    async with (
        http2_server(lambda connection, stream, _: answer(connection, stream)) as (port, requests),
        Load(
            spec("http/2", path="/a?b", headers={"X-Mine": "1"}, authority="a.example"), "127.0.0.1", port, Trace()
        ) as load,
    ):
        seen = await samples(load, 20)
    assert {(sample.status, sample.version, sample.error) for sample in seen} == {(200, "1.0.0", None)}
    assert (load.connections.opened, load.connections.broken) == (2, 0)
    assert requests[0] == {
        ":method": "GET", ":scheme": "http", ":authority": "a.example", ":path": "/a?b", "x-mine": "1",
    }  # fmt: skip


async def test_goaway_ends_a_connection_in_good_order_after_the_request_in_flight() -> None:
    def behaviour(connection: h2.connection.H2Connection, stream: int, number: int) -> None:
        if number == 3:
            # Announced before the answer, as Envoy does when it drains.
            connection.close_connection(last_stream_id=stream)
            connection.state_machine.state = h2.connection.ConnectionState.SERVER_OPEN
        answer(connection, stream)

    async with (
        http2_server(behaviour) as (port, _),
        Load(spec("http/2", connections=1), "127.0.0.1", port, Trace()) as load,
    ):
        seen = await samples(load, 20)
    assert not any(sample.failed for sample in seen)
    assert (load.connections.opened, load.connections.drained, load.connections.broken) == (2, 1, 0)


async def test_a_reset_stream_fails_its_request_and_leaves_the_connection() -> None:
    def behaviour(connection: h2.connection.H2Connection, stream: int, number: int) -> None:
        if number == 3:
            connection.reset_stream(stream)
        else:
            answer(connection, stream)

    async with (
        http2_server(behaviour) as (port, _),
        Load(spec("http/2", connections=1), "127.0.0.1", port, Trace()) as load,
    ):
        seen = await samples(load, 20)
    assert [sample.error for sample in seen if sample.failed] == ["broken"]
    assert (load.connections.opened, load.connections.broken) == (1, 0)


@pytest.mark.parametrize(("protocol", "status"), [("stream", 200), ("websocket", 101)])
async def test_an_exchange_that_lasts_goes_on_over_its_connection(protocol: str, status: int) -> None:
    async with (
        Echo() as echo,
        Load(spec(protocol, headers={STREAM_HEADER: "5"}), echo.host, echo.port, Trace()) as load,
    ):
        seen = await samples(load, 40)
    assert {(sample.status, sample.error) for sample in seen} == {(status, None)}
    assert (load.connections.opened, load.connections.broken, load.connections.drained) == (2, 0, 0)
    assert not load.spec.switches


@pytest.mark.parametrize("protocol", ["stream", "websocket"])
async def test_an_exchange_that_is_cut_is_a_broken_connection_and_a_failure(protocol: str) -> None:
    trace = Trace()
    async with Echo() as echo:
        writers: list[asyncio.StreamWriter] = []

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there_reader, there = await asyncio.open_connection(echo.host, echo.port)
            writers.append(writer)

            async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                while data := await source.read(4096):
                    sink.write(data)
                sink.close()

            await asyncio.gather(pump(reader, there), pump(there_reader, writer), return_exceptions=True)
            there.close()

        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        orders = spec(protocol, connections=1, headers={STREAM_HEADER: "5"})
        async with Load(orders, "127.0.0.1", port, trace) as load:
            await samples(load, 10)
            writers[0].transport.abort()
            async with asyncio.timeout(PATIENCE_S):
                await trace.wait_for(
                    lambda event: event.event == "traffic.connection_opened" and event.data["connection"] == 1
                )
            await samples(load, 10)
        server.close()
    assert (load.connections.opened, load.connections.broken) == (2, 1)


async def test_a_refused_upgrade_says_its_status() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    trace = Trace()
    load = Load(spec("websocket"), "127.0.0.1", server.sockets[0].getsockname()[1], trace)
    entering = asyncio.create_task(load.__aenter__())
    async with asyncio.timeout(PATIENCE_S):
        broken = await trace.wait_for(lambda event: event.event == "traffic.connection_broken")
    entering.cancel()
    await asyncio.gather(entering, return_exceptions=True)
    server.close()
    assert broken.data["why"] == "the upgrade was answered 403"
