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
from sim.xds.messages import (
    Answer,
    DeltaDiscoveryRequest,
    DiscoveryRequest,
    delta_content,
    encode_delta,
    encode_sotw,
    sotw_content,
)

#: Types of which a client names what it wants; with every other, naming nothing means everything.
NAMED_ONLY = frozenset({EDS, RDS, ECDS})

Kind = Literal["subscribe", "unsubscribe", "ack", "nack", "stale"]


@dataclass(slots=True)
class Watch:
    """What one stream wants of one type, and what it was sent."""

    type_url: str
    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    #: The client has named something; from then on naming nothing no longer means everything (SotW).
    has_named: bool = False
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
    def wants_nothing(self) -> bool:
        return not self.wildcard and not self.names

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

    def prepare(self, answer: Answer) -> None:
        """Do what can be done of a coming push's `encode` without noting anything."""
        ...


class SotwSubscriptions:
    """One stream of `StreamAggregatedResources`."""

    def __init__(self) -> None:
        self.watches: dict[str, Watch] = {}

    def receive(self, request: DiscoveryRequest) -> Reaction:
        """Take a request; the machine's state is what it was before, or follows the request, never between."""
        type_url, nonce, version = request.type_url, request.response_nonce, request.version_info
        asked = set(request.resource_names)
        watch = self.watches.get(type_url)
        if request.HasField("error_detail"):
            # As in istiod, the names of a NACK count for nothing; the next ACK tells them again.
            error = request.error_detail.message
            if watch is not None and nonce == watch.nonce_sent:
                watch.error = error
            return Reaction("nack", type_url, nonce=nonce, version_info=version, error=error)
        if not asked and type_url in NAMED_ONLY:
            # Whatever its nonce: who wants nothing need not have seen the newest push.
            self.watches.pop(type_url, None)
            return Reaction("unsubscribe", type_url, nonce=nonce, version_info=version)

        has_named = bool(asked) or (watch is not None and watch.has_named)
        wildcard = "*" in asked or not has_named
        names = asked - {"*"}
        if watch is None or not nonce:
            # The first of its type is "initial", whatever nonce or version it carries: istiod's own MCP client
            # begins with a nonce, and a client that reconnects with the version of its last stream.
            self.watches[type_url] = Watch(type_url, wildcard=wildcard, names=names, has_named=has_named)
            answer = wildcard or bool(names)
            return Reaction("subscribe", type_url, answer=answer, nonce=nonce, version_info=version)
        if nonce != watch.nonce_sent:
            return Reaction("stale", type_url, nonce=nonce, version_info=version)

        watch.nonce_acked, watch.version_acked, watch.error = nonce, version, None
        added = names - watch.names
        becomes_wildcard = wildcard and not watch.wildcard
        watch.names, watch.wildcard, watch.has_named = names, wildcard, has_named
        if added or becomes_wildcard:
            # istiod answers a grown list with what is new in it alone, except where a type's list is whole.
            fresh = frozenset(added) if type_url in NAMED_ONLY and not becomes_wildcard else None
            return Reaction("subscribe", type_url, answer=True, names=fresh, nonce=nonce, version_info=version)
        return Reaction("ack", type_url, nonce=nonce, version_info=version)

    def encode(self, answer: Answer, nonce: str, asked: frozenset[str] | None = None) -> bytes:
        self.watches[answer.type_url].sent(nonce, answer.version_info)
        return encode_sotw(answer, nonce)

    def prepare(self, answer: Answer) -> None:
        sotw_content(answer)


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
            wildcard = "*" in subscribe - unsubscribe or (not subscribe and type_url not in NAMED_ONLY)
            names = (subscribe | initial if type_url in NAMED_ONLY else subscribe) - unsubscribe - {"*"}
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

        becomes_wildcard = "*" in subscribe - unsubscribe and not watch.wildcard
        fresh = subscribe - unsubscribe - {"*"}
        watch.names = (watch.names | subscribe) - unsubscribe - {"*"}
        watch.wildcard = (watch.wildcard or "*" in subscribe) and "*" not in unsubscribe
        if watch.wildcard:
            # The client can't know whether "*" still covers the name, so it must be told what became of it.
            fresh |= unsubscribe - {"*"}
        else:
            watch.held = set(filter(watch.wants, watch.held))
        if becomes_wildcard or fresh:
            # Even a name that is already subscribed: the client may have lost the resource (the specification,
            # "Resource names in delta": the server must send it again).
            asked = None if becomes_wildcard else frozenset(fresh)
            taken: Kind = "subscribe" if error is None else kind
            return Reaction(taken, type_url, answer=True, names=asked, nonce=nonce, error=error)
        if unsubscribe and not nonce:
            kind = "unsubscribe"
        return Reaction(kind, type_url, nonce=nonce, error=error)

    def encode(self, answer: Answer, nonce: str, asked: frozenset[str] | None = None) -> bytes:
        watch = self.watches[answer.type_url]
        present = set(answer.names)
        removed = self._removed(watch, present, asked)
        watch.held = (watch.held | present) - set(removed)
        watch.sent(nonce, answer.version_info)
        return encode_delta(answer, removed, nonce)

    def prepare(self, answer: Answer) -> None:
        delta_content(answer, self._removed(self.watches[answer.type_url], set(answer.names), None))

    @staticmethod
    def _removed(watch: Watch, present: Collection[str], asked: Iterable[str] | None) -> list[str]:
        # istiod never removes an extension configuration this way: a plugin goes by LDS alone.
        if watch.type_url == ECDS:
            return []
        scope = set(asked) if asked is not None else watch.held | (set() if watch.wildcard else watch.names)
        return sorted(scope - set(present))
