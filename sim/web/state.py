"""Where a run is at this moment, as the page's panels show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sim.core import StoredObject
from sim.errors import InvalidInput
from sim.manifests import HIGRESS_WASM, WASM_PLUGIN, dump_data, dump_manifest
from sim.oci import parse_reference
from sim.oci.registry.store import Store as RegistryStore
from sim.scenario.changes import image_url
from sim.scenario.describe import describe
from sim.scenario.faults import KINDS, LINKS, REGISTRY, XDS_LINKS
from sim.scenario.session import Session
from sim.wasm import bundled_names

#: So many of the things that were done are listed.
DEEDS = 50

_PLACES = {"network": LINKS, "xds": XDS_LINKS, "registry": (REGISTRY,)}


def fault_kinds() -> list[dict[str, Any]]:
    """Every kind of fault, where it can be, and the JSON Schema of its attributes."""
    return [
        {
            "kind": name,
            "on": list(_PLACES[kind.family]),
            "text": (kind.__doc__ or "").strip().partition("\n")[0],
            "attributes": kind.model_json_schema().get("properties", {}),
            "required": kind.model_json_schema().get("required", []),
        }
        for name, kind in KINDS.items()
    ]


def state(
    session: Session,
    facts: Mapping[str, Any],
    scenario_steps: list[dict[str, Any]],
    status: Callable[[str], tuple[str, str | None]],
) -> dict[str, Any]:
    """The `state` of the feed. `facts` are those that stay; `status` says how far a plugin's latest change is."""
    pipeline = session.stage.pipeline
    stops = pipeline.options.stops
    return {
        **facts,
        "stops": {
            "on": stops is not None and stops.on,
            "next": stops.next if stops is not None else None,
            "waiting": sorted(+stops.waiting) if stops is not None else [],
        },
        "scenario_steps": scenario_steps,
        "deeds": [
            {
                "n": number,
                "by": deed.by,
                "text": describe(deed.step),
                "state": "running" if deed.ended_ns is None else "failed" if deed.error else "done",
                "error": deed.error,
            }
            for number, deed in list(enumerate(session.deeds))[-DEEDS:]
        ],
        "plugins": [_plugin(found, status) for found in session.store.list(WASM_PLUGIN)],
        "images": _images(session),
        "faults": [
            {"name": name, "kind": fault.kind.kind, "on": fault.on, "hits": fault.hits}
            for name, fault in pipeline.faults.in_force.items()
        ],
        "traffic": {
            name: {"rate_per_s": load.rate_per_s, "connections": load.spec.connections, "gateway": load.spec.gateway}
            for name, load in session.stage.loads.items()
        },
        "parts": [{"part": slot.name, "running": slot.running} for slot in pipeline.slots],
    }


def _plugin(found: StoredObject, status: Callable[[str], tuple[str, str | None]]) -> dict[str, Any]:
    spec = found.spec
    url = image_url(found.manifest)
    reached, error = status(found.name)
    config = spec.get("defaultConfig" if found.key.api_version == HIGRESS_WASM else "pluginConfig")
    return {
        "plugin": found.name,
        "apiVersion": found.key.api_version,
        "url": spec.get("url"),
        "tag": _tag(url) if url is not None else None,
        "repository": _repository(url) if url is not None else None,
        "phase": spec.get("phase"),
        "priority": spec.get("priority"),
        "enabled": not spec.get("defaultConfigDisable", False),
        "config_yaml": dump_data(config) if config is not None else "",
        "manifest_yaml": dump_manifest(found.manifest),
        "resource_version": found.resource_version,
        "status": reached,
        "error": error,
    }


def _tag(url: str) -> str | None:
    try:
        reference = parse_reference(url)
    except InvalidInput:
        return None
    return reference.tag or reference.digest


def _repository(url: str) -> str | None:
    try:
        return parse_reference(url).name
    except InvalidInput:
        return None


def _images(session: Session) -> list[dict[str, Any]]:
    """What the registry has, also what was pushed to it by others."""
    by_repository: dict[str, dict[str, Any]] = {}
    embedded = session.stage.pipeline.embedded
    for image in session.images:
        entry = by_repository.setdefault(
            image.reference.repository, {"repository": image.reference.name, "plugin": image.plugin, "tags": []}
        )
        if embedded is None and image.reference.tag not in entry["tags"]:
            entry["tags"].append(image.reference.tag)
    if embedded is not None:
        store: RegistryStore = embedded.pull_faults.store
        for name, repository in store.repositories.items():
            entry = by_repository.setdefault(name, {"repository": name, "plugin": None, "tags": []})
            entry["tags"] = sorted(repository.tags)
    return [entry for _, entry in sorted(by_repository.items()) if entry["tags"]]


def bundled_plugins() -> list[str]:
    """The plugins of which any version can be made."""
    return sorted(bundled_names())
