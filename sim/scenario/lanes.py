"""The events of a run, sorted into lanes within which the order does not vary; `transcript.py` says which there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from sim.errors import InvalidInput
from sim.model import ECDS, short_name
from sim.oci import parse_reference
from sim.scenario.conversations import conversations
from sim.scenario.follow import Trail
from sim.scenario.placeholders import Placeholders
from sim.scenario.sections import START, Sections, left_core, named
from sim.trace import Event

_ORDER_OF_LANES = ("change", "push", "CDS", "EDS", "LDS", "RDS", "ECDS", "module", "load")
_ORDER_OF_HOPS = (
    *("core.convert", "core.mcp_push", "discovery.push"),
    *("agent.forward", "agent.intercept", "agent.rewrite", "agent.replace", "agent.deliver"),
)
_OF_A_MODULE = ("agent.fetch", "agent.unpack", "agent.rewrite", "agent.replace")


class Lanes:
    """The lanes of a run's rollouts and pushes. `result` is `Result.to_json()`, `events` the whole trace."""

    def __init__(self, result: Mapping[str, Any], events: Sequence[Event], places: Placeholders) -> None:
        self._events = events
        self._places = places
        self._sections = Sections(result, events)
        self._trails = self._sections.trails

    def all(self) -> dict[str, list[str]]:
        """Every lane by its name, the rollouts' first and in their order."""
        lanes: dict[str, list[str]] = defaultdict(list)
        for index, (trail, _) in enumerate(self._trails):
            self._change_lane(index, trail, lanes)
        for event in self._sections.pushes:
            if event.data.get("reason") == "push":
                lanes[f"{self._sections.of(event)} · push"].append(short_name(event.type_url or ""))
        for index, section in self._sections.shared.items():
            lanes[f"rollouts[{index}] · push"] = [f"with {section}"]
        spoken = conversations(self._events, self._sections, self._line, self._names)
        for (section, type_url), lines in spoken.items():
            lanes[f"{section} · {short_name(type_url)}"] = lines
        for (section, plugin), done in self._modules().items():
            lanes[f"{section} · module {plugin}"] = self._module_lines(done)
        for index, (trail, _) in enumerate(self._trails):
            if trail.workers:
                lanes[f"rollouts[{index}] · load"] = [f"worker {worker}" for worker in sorted(trail.workers)]
        for event in self._events:
            if event.event == "agent.deliver":
                delivered = lanes[named("deliveries", self._sections.gateway(event))]
                # One push may lead to several deliveries in a row; how many is chance.
                if delivered[-1:] != [self._sections.of(event)]:
                    delivered.append(self._sections.of(event))
        return dict(sorted(lanes.items(), key=lambda lane: _lane_position(lane[0])))

    def payloads(self, read: Callable[[str], Any]) -> dict[str, Any]:
        """What crossed each hop, by the hop and the resource, upstream first."""
        found: dict[str, Any] = {}
        for section, event in sorted(self._with_payloads(), key=_payload_position):
            for role, ref in event.data["payloads"].items():
                data = read(ref)
                for item in data if isinstance(data, list) else [data]:
                    hop = f"{section} · {event.event} {_role(event, role)} · {self._places.name(_name_of(item))}"
                    payload = self._places.payload(item)
                    keys = (hop if number == 1 else f"{hop} #{number}" for number in count(1))
                    found[next(key for key in keys if found.setdefault(key, payload) == payload)] = payload
        return found

    def raced_repositories(self) -> set[str]:
        """The repositories, such as `plugins/demo`, of images that one push had the agent look for more than once.

        It does so side by side, each time for itself: which of them finds the module in the cache is left to chance,
        and so is how often the registry is asked.
        """
        raced = (done for done in self._modules().values() if _raced(done))
        return {repository for done in raced for e in done if (repository := _repository(e.image)) is not None}

    # -- the lanes of modules -----------------------------------------------------------------------------------

    def _modules(self) -> dict[tuple[str, str], list[Event]]:
        """By section and plugin: what the agent did about its module."""
        found: dict[tuple[str, str], list[Event]] = defaultdict(list)
        for event in self._events:
            if event.event in _OF_A_MODULE and event.span != "started":
                found[self._sections.of(event), event.plugin or event.resource or "?"].append(event)
        return found

    def _module_lines(self, done: list[Event]) -> list[str]:
        lines = [self._line(event) for event in done if not (_raced(done) and event.data.get("known"))]
        return list(dict.fromkeys(lines)) if _raced(done) else lines

    # -- the words of a lane ------------------------------------------------------------------------------------

    def _change_lane(self, index: int, trail: Trail, lanes: dict[str, list[str]]) -> None:
        same = next((n for n, (other, _) in enumerate(self._trails[:index]) if other.apply is trail.apply), None)
        spoken = (trail.apply, trail.convert, *left_core(trail))
        lanes[f"rollouts[{index}] · change"] = (
            [f"with rollouts[{same}]"] if same is not None else [self._line(e) for e in spoken if e is not None]
        )

    def _line(self, event: Event) -> str:
        data = event.data
        words = [event.event]
        if event.span == "failed":
            words.append("failed")
        for key in ("change", "outcome", "reason", "replacement", "attempt"):
            if key in data:
                words.append(str(data[key]))
        if data.get("known"):
            words.append("known")
        if event.event in _OF_A_MODULE and event.image:
            words.append(self._places.name(event.image))
        for key in ("resources", "names", "changed", "kinds"):
            if isinstance(data.get(key), list):
                words.append(self._names(data[key]))
                break
        if data.get("removed"):
            words.append(f"removed {self._names(data['removed'])}")
        if data.get("error"):
            words.append(f"({self._places.text(str(data['error']))})")
        return " ".join(words)

    def _names(self, names: Sequence[str]) -> str:
        return f"[{', '.join(self._places.name(str(name)) for name in names)}]"

    def _with_payloads(self) -> Iterator[tuple[str, Event]]:
        """The events that carry payloads, each with the section that it belongs to."""
        changes: dict[int, str] = {}
        for index, (trail, _) in enumerate(self._trails):
            for event in (trail.convert, *left_core(trail)):
                if event is not None:
                    changes.setdefault(event.seq, f"rollouts[{index}]")
        first = min((trail.apply.seq for trail, _ in self._trails), default=len(self._events))
        for event in self._events:
            if not event.data.get("payloads"):
                continue
            if event.event == "core.mcp_push" and event.data.get("changed") and event.seq not in changes:
                # Of a change that a newer one overtook: whether it was sent at all is chance.
                continue
            if event.part == "core":
                yield changes.get(event.seq, START if event.seq < first else "other changes"), event
            else:
                yield self._sections.of(event), event


def _raced(done: Sequence[Event]) -> bool:
    return sum(event.event in ("agent.rewrite", "agent.replace") for event in done) > 1


def _repository(image: str | None) -> str | None:
    try:
        return parse_reference(image or "").repository
    except InvalidInput:
        return None


def _role(event: Event, role: str) -> str:
    return f"{short_name(event.type_url)} {role}" if event.type_url and event.part != "core" else role


def _name_of(item: Any) -> str:
    """A resource's name, as its type has it."""
    if not isinstance(item, dict):
        return "?"
    metadata = item.get("metadata")
    if isinstance(metadata, dict):
        kind = item.get("kind") or str(item.get("body", {}).get("@type", "")).rpartition(".")[2]
        return f"{kind} {'/'.join(filter(None, (metadata.get('namespace'), metadata.get('name'))))}"
    return str(item.get("name") or item.get("cluster_name") or "?")


def _section_position(section: str) -> tuple[int, int, str]:
    """`start` first, then the rollouts in their order, then the rest."""
    if section.startswith(START):
        return 0, 0, section
    if section.startswith("rollouts["):
        return 1, int(section[len("rollouts[") : -1]), ""
    return 2, 0, section


def _lane_position(name: str) -> tuple[tuple[int, int, str], int, str]:
    section, _, lane = name.partition(" · ")
    kind = "module" if lane.startswith("module ") else lane
    known = _ORDER_OF_LANES.index(kind) if kind in _ORDER_OF_LANES else len(_ORDER_OF_LANES)
    return _section_position(section), known, lane


def _payload_position(entry: tuple[str, Event]) -> tuple[tuple[int, int, str], int, int, str, int]:
    section, event = entry
    kind = short_name(event.type_url or ("" if event.part == "core" else ECDS))
    known = _ORDER_OF_LANES.index(kind) if kind in _ORDER_OF_LANES else 0
    hop = _ORDER_OF_HOPS.index(event.event) if event.event in _ORDER_OF_HOPS else len(_ORDER_OF_HOPS)
    return _section_position(section), known, hop, f"{kind} {event.resource or ''}", event.seq
