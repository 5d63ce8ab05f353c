"""Which change a wait is for: that of the latest step that changed the plugin, whatever Core has heard of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from sim.core import ConversionError, decode_istio
from sim.discovery.plugins import Plugin
from sim.manifests import ISTIO_WASM, Manifest
from sim.model import Node
from sim.profiles import Profile
from sim.scenario.follow import GatewayRecord, Trail, changes, follow
from sim.scenario.rollouts import Attribution, Subject, subjects
from sim.trace import Event


@dataclass(frozen=True, slots=True)
class PluginChange:
    """What a step made of a plugin. `since`: the trace's length before it; `manifest`: None where it was deleted."""

    since: int
    manifest: Manifest | None


@dataclass(frozen=True, slots=True)
class Awaited:
    """The change that a wait is for, on each gateway that it went to.

    `same`: what Core makes of the latest change, or Discovery finds in it, is what there was before, so the subjects
    are those of the change that is in force; none where nothing ever was.
    """

    subjects: list[Subject]
    same: bool = False


def awaited(
    events: Sequence[Event],
    plugin: str,
    made: Sequence[PluginChange],
    alike: AbstractSet[int],
    attribution: Attribution,
    records: Sequence[GatewayRecord],
) -> Awaited | None:
    """None while Core has not read the latest change, as when it is down.

    `made`: the changes that steps made of the plugin, in order. `alike`: the positions of each `core.apply` of which
    Core made what there was before.
    """
    heard = [e for e in changes(events) if e.plugin == plugin]
    applies = [*(e for e in heard if e.seq not in alike), *_read_later(events, plugin, made, heard)]
    applies.sort(key=lambda e: e.seq)
    latest = made[-1].since if made else 0
    same = False
    if not applies or applies[-1].seq < latest:
        again = next((e for e in heard if e.seq >= latest and e.seq in alike), None)
        if again is None:
            return None
        if made[-1].manifest is None or _outcome(events, again) == "disabled":
            return Awaited([], same=True)
        same = True
        while applies and _failed(follow(events, applies[-1], applies=applies)):
            applies.pop()
    elif is_same_for_discovery(events, follow(events, applies[-1], applies=applies)):
        same = True
        while applies and follow(events, applies[-1], applies=applies).received is None:
            applies.pop()
    if not applies:
        return Awaited([], same=True)
    found = subjects(events, attribution, records, applies)
    return Awaited([subject for subject in found if subject.trail.apply is applies[-1]], same)


def is_for(manifest: Manifest, node: Node, port: int, profile: Profile) -> bool:
    """Whether the gateway is to get the plugin. Higress writes the selector itself: all of its gateways are."""
    if manifest.api_version != ISTIO_WASM:
        return True
    try:
        plugin = Plugin(manifest.namespace, manifest.name, decode_istio(manifest.spec), "")
    except (ConversionError, ValueError):
        return False
    return plugin.selects(node, port, profile)


def is_same_for_discovery(events: Sequence[Event], trail: Trail) -> bool:
    """Whether Discovery got Core's state with the change in it, and found nothing changed."""
    push = trail.mcp_push
    if push is None or trail.received is not None or push.type_url is None:
        return False
    return any(
        e.event == "discovery.received"
        and trail.plugin not in (e.data.get("refused") or ())
        and e.seq > push.seq
        and e.version_info == push.version_info
        and push.type_url.endswith(f"/{e.type_url}")
        for e in events[push.seq :]
    )


def _read_later(
    events: Sequence[Event], plugin: str, made: Sequence[PluginChange], heard: Sequence[Event]
) -> Iterator[Event]:
    """Where Core read, at its start, what had been changed while it was down."""
    ends: Mapping[int, int] = dict(enumerate([change.since for change in made[1:]]))
    for number, change in enumerate(made):
        end = ends.get(number, len(events))
        if any(change.since <= e.seq < end for e in heard):
            continue
        for event in events[change.since : end]:
            if change.manifest is None and event.event == "run.start" and event.data.get("target") == "core":
                # What is no more is not listed: it is gone from the first state that Core has.
                yield replace(event, plugin=plugin, data={"change": "deleted"})
                break
            if change.manifest is not None and _is_listed(event) and event.plugin == plugin:
                yield event
                break


def _is_listed(event: Event) -> bool:
    return event.event == "core.apply" and "ignored" not in event.data and event.data.get("change") == "listed"


def _outcome(events: Sequence[Event], apply: Event) -> object:
    convert = follow(events, apply).convert
    return convert.data.get("outcome") if convert is not None else None


def _failed(trail: Trail) -> bool:
    return trail.convert is not None and trail.convert.span == "failed"
