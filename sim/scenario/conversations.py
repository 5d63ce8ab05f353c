"""What was said on the xDS streams, each type by itself, in an order that does not depend on who was faster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sim.model import TYPE_PREFIX
from sim.scenario.sections import Sections
from sim.trace import Event

#: The events of one response, in the order in which one causes the next. Those of Envoy's requests and of what
#: Discovery hears of them stand for an answer to it.
_RANKS = {
    name: rank
    for rank, name in enumerate(
        (
            "discovery.push",
            *("agent.forward", "agent.intercept", "agent.retry", "agent.overtaken", "agent.deliver"),
            *("envoy", "agent.nack", "discovery"),
        )
    )
}
_REQUESTS = ("subscribe", "unsubscribe", "ack", "stale", "nack")


#: What a lane holds of one text: 0 for subscriptions and 1 for responses, its place among these, its rank, and itself.
_Said = tuple[int, int, int, str]


def conversations(
    events: Sequence[Event], sections: Sections, line: Callable[[Event], str], names: Callable[[Sequence[str]], str]
) -> dict[tuple[str, str], list[str]]:
    """By section and type URL: first what Envoy subscribed to, then each response with all that it caused.

    Whoever hears a request takes it for a subscription, an ACK or a stale one by what is in flight at that moment,
    which differs from run to run. What does not: which names Envoy asked for, one set after the other, and what it
    answered to each response when it first named it. Requests that come close together may get one response or
    several, so those of a section that were asked for are told as one. `line` tells an event, `names` a set of names.
    """
    said: dict[tuple[str, str], list[_Said]] = defaultdict(list)
    for section, type_url, text, seq in _subscriptions(events, sections, names):
        said[section, type_url].append((0, seq, 0, text))
    asked_for = _asked_for(sections)
    position = {event.nonce: event.seq for event in sections.pushes}
    position |= {nonce: place for place, nonces, _ in asked_for.values() for nonce in nonces}
    answered: set[tuple[str, str]] = set()
    for event in events:
        part, _, operation = event.event.partition(".")
        if not (event.type_url or "").startswith(TYPE_PREFIX):
            continue
        if part in ("envoy", "discovery") and operation in _REQUESTS:
            if event.nonce is None or (part, event.nonce) in answered:
                continue
            answered.add((part, event.nonce))
            text = f"{part}.nack ({_reason(event, line)})" if event.data.get("error") else f"{part}.ack"
            rank = _RANKS[part]
        elif event.event == "discovery.push" and event.data.get("reason") == "request":
            _, _, wanted = asked_for[sections.of(event), event.type_url or ""]
            text, rank = f"discovery.push request {names(sorted(wanted))}", _RANKS[event.event]
        elif event.event in _RANKS:
            text, rank = line(event), _RANKS[event.event]
        else:
            continue
        place = position.setdefault(event.nonce, event.seq)
        lane = said[sections.of(event), event.type_url or ""]
        if (1, place, rank, text) not in lane:
            lane.append((1, place, rank, text))
    return {key: [text for *_, text in sorted(lines, key=lambda each: each[:3])] for key, lines in said.items()}


def _asked_for(sections: Sections) -> dict[tuple[str, str], tuple[int, set[str], set[str]]]:
    """By section and type URL, of all responses to requests: the first one's position, their nonces, their names."""
    found: dict[tuple[str, str], tuple[int, set[str], set[str]]] = {}
    for event in sections.pushes:
        if event.data.get("reason") == "request":
            key = (sections.of(event), event.type_url or "")
            _, nonces, wanted = found.setdefault(key, (event.seq, set(), set()))
            nonces.add(event.nonce or "")
            wanted.update(event.data.get("resources", ()))
    return found


def _subscriptions(
    events: Sequence[Event], sections: Sections, names: Callable[[Sequence[str]], str]
) -> Iterator[tuple[str, str, str, int]]:
    """Section, type URL, text and position of each request of Envoy's that asks for something new.

    The first of a stream belongs to the response that it got, and is nothing where it got none: how often Envoy tries
    while nobody answers is chance. A later one, for other names, belongs to the push that made it necessary.
    """
    asked: dict[tuple[str, Any, str], list[str]] = {}
    waiting: dict[tuple[str, Any, str], list[tuple[str, int]]] = defaultdict(list)
    for event in events:
        stream, type_url = (sections.gateway(event), event.data.get("stream")), event.type_url or ""
        if event.event == "agent.stream_opened":
            for held in (asked, waiting):
                for key in [key for key in held if key[:2] == stream]:
                    del held[key]
        if not type_url.startswith(TYPE_PREFIX):
            continue
        key = (*stream, type_url)
        if event.event in ("agent.forward", "agent.intercept"):
            for text, seq in waiting.pop(key, ()):
                yield sections.of(event), type_url, text, seq
        elif event.event.startswith("envoy.") and event.event.partition(".")[2] in _REQUESTS:
            wanted = event.data.get("names")
            text = f"envoy.subscribe {names(wanted)}" if wanted else "envoy.subscribe"
            if event.nonce is None and event.event == "envoy.subscribe":
                waiting[key].append((text, event.seq))
            elif wanted is not None and wanted != asked.get(key):
                yield sections.at(event), type_url, text, event.seq
            if wanted is not None:
                asked[key] = wanted


def _reason(event: Event, line: Callable[[Event], str]) -> str:
    """What stands in the brackets of the event's own line."""
    return line(event).partition(" (")[2].removesuffix(")")
