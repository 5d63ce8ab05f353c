"""Whatever the interleaving of wishes, changes, requests and responses, both variants end with the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sim.model import ECDS, EDS, LDS
from sim.xds import ServerStream, Variant
from tests.independent import discovery_message
from tests.unit.xds.transcript import World

#: One type whose list is whole, one that needs names, one that is never removed by name.
TYPES = (LDS, EDS, ECDS)
NAMES = ("a", "b", "c")

types = st.sampled_from(TYPES)
names = st.sampled_from(NAMES)


class Client(ABC):
    """A client that keeps to the xDS specification, and the two directions of its stream."""

    variant: Variant

    def __init__(self, world: World) -> None:
        self.world = world
        self.wanted: dict[str, set[str]] = {type_url: set() for type_url in TYPES}
        self.received: dict[str, dict[str, str]] = {type_url: {} for type_url in TYPES}
        self.has_refused = False
        self.connect()

    def connect(self) -> None:
        """A new stream; what was under way on the old one is lost."""
        self.server = ServerStream(1, self.variant)
        self.requests: deque[Any] = deque()
        self.responses: deque[bytes] = deque()
        #: What arrived on this stream: the newest nonce and version by type.
        self.newest: dict[str, tuple[str, str]] = {}
        for type_url in TYPES:
            if self.wanted[type_url]:
                self.begin(type_url)

    def holds(self, type_url: str) -> dict[str, str]:
        """What the client uses: received, and wanted still."""
        wanted = self.wanted[type_url]
        return {n: v for n, v in self.received[type_url].items() if n in wanted or "*" in wanted}

    @abstractmethod
    def begin(self, type_url: str) -> None: ...

    @abstractmethod
    def want(self, type_url: str, name: str, wanted: bool) -> None: ...

    @abstractmethod
    def take(self, message: bytes, *, accept: bool) -> None: ...

    # -- the wires ----------------------------------------------------------------------------------------------

    def request_arrives(self) -> bool:
        if not self.requests:
            return False
        request = self.requests.popleft()
        watch = self.server.watches.get(request.type_url)
        stale = watch is not None and request.response_nonce not in ("", watch.nonce_sent)
        acked = watch.nonce_acked if watch else ""
        reaction = self.server.receive(request.SerializeToString())
        if stale and watch is not None:
            assert reaction.kind != "ack"
            assert watch.nonce_acked == acked, "a stale nonce was taken for an ACK"
        return True

    def server_sends(self) -> bool:
        response = self.server.respond(self.world)
        if response is None:
            return False
        self.responses.append(response.message)
        return True

    def response_arrives(self, *, accept: bool = True) -> bool:
        if not self.responses:
            return False
        self.has_refused |= not accept
        self.take(self.responses.popleft(), accept=accept)
        return True


class SotwClient(Client):
    variant = Variant.SOTW

    def begin(self, type_url: str) -> None:
        self.send(type_url)

    def want(self, type_url: str, name: str, wanted: bool) -> None:
        (self.wanted[type_url].add if wanted else self.wanted[type_url].discard)(name)
        self.send(type_url)

    def send(self, type_url: str, error: bool = False) -> None:
        nonce, version = self.newest.get(type_url, ("", ""))
        request = discovery_message("DiscoveryRequest")
        request.type_url, request.response_nonce, request.version_info = type_url, nonce, version
        request.resource_names.extend(sorted(self.wanted[type_url]))
        if error:
            request.error_detail.message = "no"
        self.requests.append(request)

    def take(self, message: bytes, *, accept: bool) -> None:
        response = discovery_message("DiscoveryResponse", message)
        type_url = response.type_url
        version = response.version_info if accept else self.newest.get(type_url, ("", ""))[1]
        self.newest[type_url] = (response.nonce, version)
        if accept:
            if type_url == LDS:
                self.received[type_url] = {}
            self.received[type_url] |= dict(item.value.decode().split("=") for item in response.resources)
        self.send(type_url, error=not accept)


class DeltaClient(Client):
    variant = Variant.DELTA

    def begin(self, type_url: str) -> None:
        request = discovery_message("DeltaDiscoveryRequest")
        request.type_url = type_url
        request.resource_names_subscribe.extend(sorted(self.wanted[type_url]))
        for name in self.received[type_url]:
            request.initial_resource_versions[name] = ""
        self.requests.append(request)

    def want(self, type_url: str, name: str, wanted: bool) -> None:
        (self.wanted[type_url].add if wanted else self.wanted[type_url].discard)(name)
        request = discovery_message("DeltaDiscoveryRequest")
        request.type_url = type_url
        (request.resource_names_subscribe if wanted else request.resource_names_unsubscribe).append(name)
        self.received[type_url] = self.holds(type_url)
        self.requests.append(request)

    def take(self, message: bytes, *, accept: bool) -> None:
        response = discovery_message("DeltaDiscoveryResponse", message)
        type_url = response.type_url
        if accept:
            for item in response.resources:
                self.received[type_url][item.name] = item.version
            for name in response.removed_resources:
                self.received[type_url].pop(name, None)
            self.received[type_url] = self.holds(type_url)
        request = discovery_message("DeltaDiscoveryRequest")
        request.type_url, request.response_nonce = type_url, response.nonce
        if not accept:
            request.error_detail.message = "no"
        self.requests.append(request)


class Streams(RuleBasedStateMachine):
    """One client of each variant, with the same wishes, on one world."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        for type_url in TYPES:
            self.world.set(type_url, {"a": "0"})
        self.sotw, self.delta = SotwClient(self.world), DeltaClient(self.world)
        self.clients: tuple[Client, ...] = (self.sotw, self.delta)
        self.troubled = False

    @initialize(troubled=st.booleans())
    def begins(self, troubled: bool) -> None:
        # Refusals and broken streams end with pushes of everything, which would hide what was forgotten before.
        self.troubled = troubled

    def pushed(self, type_url: str) -> None:
        for client in self.clients:
            client.server.push([type_url])

    @rule(type_url=types, name=names)
    def the_world_changes(self, type_url: str, name: str) -> None:
        held = self.world.resources[type_url]
        self.world.set(type_url, {**held, name: str(self.world.revision)})
        self.pushed(type_url)

    @rule(type_url=types, name=names)
    def the_world_loses(self, type_url: str, name: str) -> None:
        held = self.world.resources[type_url]
        self.world.set(type_url, {n: v for n, v in held.items() if n != name})
        self.pushed(type_url)

    @rule(type_url=types, name=st.sampled_from((*NAMES, "*")))
    def a_wish_changes(self, type_url: str, name: str) -> None:
        if name == "*" and type_url != LDS:
            return
        wanted = name not in self.sotw.wanted[type_url]
        for client in self.clients:
            client.want(type_url, name, wanted)

    @rule(which=st.integers(0, 1))
    def a_request_arrives(self, which: int) -> None:
        self.clients[which].request_arrives()

    @rule(which=st.integers(0, 1))
    def the_server_sends(self, which: int) -> None:
        self.clients[which].server_sends()

    @rule(which=st.integers(0, 1))
    def a_response_is_accepted(self, which: int) -> None:
        self.clients[which].response_arrives()

    @precondition(lambda self: self.troubled)
    @rule(which=st.integers(0, 1))
    def a_response_is_refused(self, which: int) -> None:
        self.clients[which].response_arrives(accept=False)

    @precondition(lambda self: self.troubled)
    @rule(which=st.integers(0, 1))
    def the_stream_breaks(self, which: int) -> None:
        self.clients[which].connect()

    @invariant()
    def an_ack_is_of_something_that_was_sent(self) -> None:
        for client in self.clients:
            for watch in client.server.watches.values():
                assert not watch.synced or watch.error is None

    def teardown(self) -> None:
        self.settle()
        if any(client.has_refused for client in self.clients):
            # What a client refused comes again with the next push.
            for type_url in TYPES:
                self.pushed(type_url)
            self.settle()
        for type_url in TYPES:
            self.compare(type_url)

    @rule()
    def all_comes_to_rest(self) -> None:
        self.settle()
        for type_url in () if self.troubled else TYPES:
            self.compare(type_url)

    def settle(self) -> None:
        for client in self.clients:
            for _ in range(1000):
                if not (client.request_arrives() or client.server_sends() or client.response_arrives()):
                    break
            else:
                raise AssertionError(f"{client.variant} never comes to rest")

    def compare(self, type_url: str) -> None:
        exists = self.world.resources[type_url]
        wanted = self.sotw.wanted[type_url]
        expected = {n: v for n, v in exists.items() if n in wanted or "*" in wanted}
        for client in self.clients:
            watch = client.server.watches.get(type_url)
            remembered = set() if watch is None else watch.names | ({"*"} if watch.wildcard else set())
            assert remembered == wanted, f"{client.variant} forgot or invented names"
            assert watch is None or watch.wants_nothing or watch.synced
            held = client.holds(type_url)
            # Only a response that is whole, or one that removes by name, tells what is gone.
            if type_url == ECDS or (type_url == EDS and client is self.sotw):
                held = {n: v for n, v in held.items() if n in exists}
            assert held == expected, f"{client.variant} holds something else"
        watch = self.delta.server.watches.get(type_url)
        known = set() if watch is None else watch.held
        assert (known & exists.keys() if type_url == ECDS else known) == expected.keys()


TestStreams = Streams.TestCase
TestStreams.settings = settings(max_examples=250, stateful_step_count=40, deadline=None, derandomize=True)
