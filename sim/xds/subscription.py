"""The server's half of one ADS stream, sans-IO: which request is what, and what it has to be answered.

Two machines with one face: `receive` takes a request and says what it means, `sent` notes a response. They
decide as istiod does (pilot/pkg/xds, `ShouldRespond` and `shouldRespondDelta`) on top of the xDS protocol
specification ("ACK and NACK semantics", "Wildcard"). Neither knows sockets, time or resources.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from sim.model import ECDS, EDS, RDS
from sim.xds.messages import Answer, DeltaDiscoveryRequest, DiscoveryRequest, encode_delta, encode_sotw

#: Types of which a client names what it wants; with every other, naming nothing means everything.
NAMED_ONLY = frozenset({EDS, RDS, ECDS})

Kind = Literal["subscribe", "unsubscribe", "ack", "nack", "stale"]


@dataclass(slots=True)
class Watch:
    """What one stream wants of one type, and what it was sent."""

    type_url: str
    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    nonce_sent: str = ""
    version_sent: str = ""
    nonce_acked: str = ""
    version_acked: str = ""
    #: Why the client refused the last response it answered, None when it did not.
    error: str | None = None
    #: Names of the resources that the client holds, as far as the server knows (delta).
    held: set[str] = field(default_factory=set)

    def wants(self, name: str) -> bool:
        return self.wildcard or name in self.names

    def sent(self, nonce: str, version_info: str) -> None:
        """Note a response that went out."""
        self.nonce_sent, self.version_sent = nonce, version_info

    @property
    def synced(self) -> bool:
        """The client acknowledged the newest response."""
        return bool(self.nonce_sent) and self.nonce_sent == self.nonce_acked


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a request meant. `answer` tells whether a response is due, `names` for which resources (None: all)."""

    kind: Kind
    type_url: str
    answer: bool = False
    names: frozenset[str] | None = None
    nonce: str = ""
    version_info: str = ""
    error: str | None = None


class Subscriptions(Protocol):
    """The face that both variants share, for a server that does not care which one it speaks."""

    watches: dict[str, Watch]

    def encode(self, answer: Answer, nonce: str, asked: frozenset[str] | None = None) -> bytes:
        """The response to send now, noted as sent. `asked`: the names a request was about, None for a push."""
        ...


class SotwSubscriptions:
    """One stream of `StreamAggregatedResources`."""

    def __init__(self) -> None:
        self.watches: dict[str, Watch] = {}

    def receive(self, request: DiscoveryRequest) -> Reaction:
        """Take a request; the machine's state is what it was before, or follows the request, never between."""
        type_url, nonce, version = request.type_url, request.response_nonce, request.version_info
        names = set(request.resource_names)
        watch = self.watches.get(type_url)
        if request.HasField("error_detail"):
            error = request.error_detail.message
            if watch is not None and nonce == watch.nonce_sent:
                watch.error = error
            return Reaction("nack", type_url, nonce=nonce, version_info=version, error=error)
        if watch is None:
            if not names and type_url in NAMED_ONLY:
                return Reaction("unsubscribe", type_url, nonce=nonce, version_info=version)
            # "Initial" is this, whatever nonce or version it carries: istiod's own MCP client begins with a
            # nonce, and a client that reconnects with those of its last stream.
            self.watches[type_url] = Watch(type_url, wildcard=not names or "*" in names, names=names - {"*"})
            return Reaction("subscribe", type_url, answer=True, nonce=nonce, version_info=version)
        if nonce != watch.nonce_sent:
            return Reaction("stale", type_url, nonce=nonce, version_info=version)
        if nonce:
            watch.nonce_acked, watch.version_acked, watch.error = nonce, version, None
        if not names and type_url in NAMED_ONLY:
            del self.watches[type_url]
            return Reaction("unsubscribe", type_url, nonce=nonce, version_info=version)
        added = names - watch.names - {"*"}
        becomes_wildcard = "*" in names and not watch.wildcard
        if names:
            watch.names = names - {"*"}
            watch.wildcard = "*" in names
        if becomes_wildcard:
            return Reaction("subscribe", type_url, answer=True, nonce=nonce, version_info=version)
        if added:
            return Reaction(
                "subscribe",
                type_url,
                answer=True,
                # istiod answers a grown list with what is new in it alone, except where a type's list is whole.
                names=frozenset(added) if type_url in NAMED_ONLY else None,
                nonce=nonce,
                version_info=version,
            )
        return Reaction("ack", type_url, nonce=nonce, version_info=version)

    def encode(self, answer: Answer, nonce: str, asked: frozenset[str] | None = None) -> bytes:
        self.watches[answer.type_url].sent(nonce, answer.version_info)
        return encode_sotw(answer, nonce)


class DeltaSubscriptions:
    """One stream of `DeltaAggregatedResources`."""

    def __init__(self) -> None:
        self.watches: dict[str, Watch] = {}

    def receive(self, request: DeltaDiscoveryRequest) -> Reaction:
        """Take a request. Its nonce concerns only the ACK in it: a subscription is valid beside a stale one."""
        type_url, nonce = request.type_url, request.response_nonce
        subscribe = set(request.resource_names_subscribe)
        unsubscribe = set(request.resource_names_unsubscribe)
        watch = self.watches.get(type_url)
        error = request.error_detail.message if request.HasField("error_detail") else None
        if watch is None:
            if error is not None:
                return Reaction("nack", type_url, nonce=nonce, error=error)
            initial = set(request.initial_resource_versions)
            wildcard = "*" in subscribe or (not subscribe and type_url not in NAMED_ONLY)
            names = subscribe - {"*"}
            if type_url in NAMED_ONLY:
                names |= initial
            if not wildcard and not names:
                return Reaction("unsubscribe", type_url, nonce=nonce)
            self.watches[type_url] = Watch(type_url, wildcard=wildcard, names=names, held=initial)
            return Reaction("subscribe", type_url, answer=True, nonce=nonce)

        kind: Kind = "ack"
        if nonce and nonce != watch.nonce_sent:
            kind = "stale"
        elif error is not None:
            kind, watch.error = "nack", error
        elif nonce:
            watch.nonce_acked, watch.version_acked, watch.error = nonce, watch.version_sent, None

        becomes_wildcard = "*" in subscribe and not watch.wildcard
        fresh = subscribe - {"*"}
        watch.names |= fresh
        watch.names -= unsubscribe - {"*"}
        watch.held -= unsubscribe
        watch.wildcard = (watch.wildcard or "*" in subscribe) and "*" not in unsubscribe
        if becomes_wildcard:
            return Reaction("subscribe", type_url, answer=True, nonce=nonce)
        if fresh - unsubscribe:
            # Even a name that is already subscribed: the client may have lost the resource (the specification,
            # "Resource names in delta": the server must send it again).
            return Reaction("subscribe", type_url, answer=True, names=frozenset(fresh - unsubscribe), nonce=nonce)
        if unsubscribe and kind == "ack" and not nonce:
            kind = "unsubscribe"
        return Reaction(kind, type_url, nonce=nonce, error=error)

    def encode(self, answer: Answer, nonce: str, asked: frozenset[str] | None = None) -> bytes:
        watch = self.watches[answer.type_url]
        present = set(answer.names)
        removed = self._removed(watch, present, asked)
        watch.held = (watch.held | present) - set(removed)
        watch.sent(nonce, answer.version_info)
        return encode_delta(answer, removed, nonce)

    @staticmethod
    def _removed(watch: Watch, present: Collection[str], asked: Iterable[str] | None) -> list[str]:
        # istiod never removes an extension configuration this way: a plugin goes by LDS alone.
        if watch.type_url == ECDS:
            return []
        scope = set(asked) if asked is not None else watch.held | (set() if watch.wildcard else watch.names)
        return sorted(scope - set(present))
