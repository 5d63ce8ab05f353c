"""A gateway's configuration dump as a scenario that reproduces its plugin chain."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from sim.errors import InvalidInput
from sim.profiles import PlainFilter, PluginSlot, Profile, load_profile
from sim.scenario.image_entries import DEFAULT_REPOSITORY

_NEW_STYLE = "extensions.istio.io/wasmplugin/"
_WASM = ".filters.http.wasm.v3.Wasm"
#: Between two plugins of a chain, so that one more finds a place.
_PRIORITY_STEP = 10
_STAND_IN = "marker"


@dataclass(slots=True)
class ImportedPlugin:
    """One plugin of the chain. `reference` is its image's; `module` its Wasm file, None for a stand-in."""

    namespace: str
    name: str
    phase: str
    priority: int
    config: Any
    fails_open: bool
    checksum: str
    reference: str
    module: Path | None = None

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    def manifest(self) -> dict[str, Any]:
        """The Istio WasmPlugin that makes Discovery send this."""
        spec: dict[str, Any] = {"url": f"oci://{self.reference}", "priority": self.priority}
        if self.phase != "UNSPECIFIED_PHASE":
            spec["phase"] = self.phase
        if self.fails_open:
            spec["failStrategy"] = "FAIL_OPEN"
        if self.config is not None:
            spec["pluginConfig"] = self.config
        return {
            "apiVersion": "extensions.istio.io/v1alpha1",
            "kind": "WasmPlugin",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": spec,
        }


@dataclass(slots=True)
class Imported:
    """A chain as it was found, and what could not be taken over, in words."""

    profile: str
    plugins: list[ImportedPlugin]
    remarks: list[str] = field(default_factory=list)


def import_dump(dump: Mapping[str, Any], images: Mapping[str, str], modules: Path | None = None) -> Imported:
    """Read an Envoy's /config_dump. `images` names a plugin's image by `namespace/name`; `modules` holds `.wasm` files
    by the name that they have in the dump.

    Raises InvalidInput for a dump without listeners or extension configurations, or without any plugin in them, and
    for what is not built as Envoy builds it.
    """
    try:
        return _import(dump, images, modules)
    except (AttributeError, TypeError, ValueError) as error:
        # Anywhere in it something else may stand than a dump has there: a number for a mapping, nothing for a list.
        raise InvalidInput(
            f"this is not built like Envoy's /config_dump: {error}",
            hint="save the whole /config_dump of a gateway, as Envoy gives it",
        ) from error


def _import(dump: Mapping[str, Any], images: Mapping[str, str], modules: Path | None) -> Imported:
    sections = {str(each.get("@type", "")).rpartition(".")[2]: each for each in dump.get("configs", [])}
    chain = _chain(sections.get("ListenersConfigDump", {}))
    if not chain:
        raise InvalidInput(
            "no listener of this dump has an HTTP filter with config_discovery",
            hint="save the whole /config_dump of a gateway that has a Wasm plugin",
        )
    extensions = _extensions(sections.get("EcdsConfigDump", {}))
    names = [name for name, discovered in chain if discovered]
    style = "istio-1.27" if any(name.startswith(_NEW_STYLE) for name in names) else "higress"
    found = Imported(style, [])
    slots = _phases(load_profile(style), chain)
    for position, name in enumerate(names):
        extension = extensions.get(name)
        if extension is None:
            found.remarks.append(f"{name} is in the listener and not in the extension configurations; left out")
            continue
        wasm = extension.get("typed_config", {})
        if not str(wasm.get("@type", "")).endswith(_WASM):
            kind = str(wasm.get("@type", "")).rpartition(".")[2]
            found.remarks.append(f"{name} is no Wasm but {kind or 'nothing'} (a pull has failed?); left out")
            continue
        namespace, _, short = name.removeprefix(_NEW_STYLE).partition(".")
        if not short:
            found.remarks.append(f"{name} does not tell namespace and name; left out")
            continue
        priority = (len(names) - position) * _PRIORITY_STEP
        found.plugins.append(_plugin(namespace, short, slots[name], priority, wasm, images, modules, found.remarks))
    if not found.plugins:
        raise InvalidInput(
            "this dump has no Wasm plugin whose configuration is in it", hint="; ".join(found.remarks) or None
        )
    unknown = [key for key in images if key not in {plugin.key for plugin in found.plugins}]
    if unknown:
        raise InvalidInput(
            f"--image: this dump has no plugin {', '.join(unknown)}",
            hint=f"it has {', '.join(plugin.key for plugin in found.plugins)}",
        )
    return found


def _chain(section: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """The HTTP filters of the listener that has plugins, in order: each name, and whether it is discovered."""
    for entry in section.get("dynamic_listeners", []):
        listener = entry.get("active_state", {}).get("listener", {})
        for chain in [*listener.get("filter_chains", []), listener.get("default_filter_chain", {})]:
            for network in chain.get("filters", []):
                filters = network.get("typed_config", {}).get("http_filters", [])
                if any("config_discovery" in each for each in filters):
                    return [(str(each.get("name", "")), "config_discovery" in each) for each in filters]
    return []


def _extensions(section: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = {}
    for entry in section.get("ecds_filters", []):
        extension = entry.get("ecds_filter", {})
        found[str(extension.get("name", ""))] = extension
    return found


def _phases(profile: Profile, chain: Iterable[tuple[str, bool]]) -> dict[str, str]:
    """The phase of each plugin: that of the first slot after the last filter before it that the profile knows too."""
    slot_after: dict[str, str] = {}
    last, open_names = "", [""]
    for entry in profile.http_filters:
        if isinstance(entry, PluginSlot):
            phase = entry.plugins[-1] if len(entry.plugins) > 1 else entry.plugins[0]
            for name in open_names:
                slot_after.setdefault(name, phase)
            open_names = [last]
        elif isinstance(entry, PlainFilter):
            last = entry.name
            open_names.append(last)
    found = {}
    anchor = ""
    for name, discovered in chain:
        if discovered:
            found[name] = slot_after.get(anchor, "UNSPECIFIED_PHASE")
        elif any(isinstance(entry, PlainFilter) and entry.name == name for entry in profile.http_filters):
            anchor = name
    return found


def _plugin(
    namespace: str,
    name: str,
    phase: str,
    priority: int,
    wasm: Mapping[str, Any],
    images: Mapping[str, str],
    modules: Path | None,
    remarks: list[str],
) -> ImportedPlugin:
    config = wasm.get("config", {})
    code = config.get("vm_config", {}).get("code", {})
    remote = str(code.get("remote", {}).get("http_uri", {}).get("uri", ""))
    file = Path(str(code.get("local", {}).get("filename", "")))
    checksum = str(code.get("remote", {}).get("sha256", "")) or file.stem
    key = f"{namespace}/{name}"
    reference = images.get(key) or remote.removeprefix("oci://")
    if not reference or "://" in reference:
        tag = re.sub(r"[^\w.-]", "-", checksum[:12]) or "unknown"
        reference = f"{DEFAULT_REPOSITORY.partition('/')[0]}/imported/{name}:{tag}"
    module = modules / file.name if modules is not None and file.name else None
    if module is None or not module.is_file():
        remarks.append(f"{key}: the module {checksum or 'without a name'} is not at hand; {_STAND_IN} stands in for it")
        module = None
    open_by_policy = config.get("failure_policy") == "FAIL_OPEN"
    return ImportedPlugin(
        namespace=namespace,
        name=name,
        phase=phase,
        priority=priority,
        config=_configuration(config.get("configuration"), key, remarks),
        fails_open=bool(config.get("fail_open")) or open_by_policy,
        checksum=checksum,
        reference=reference,
        module=module,
    )


def _configuration(packed: Mapping[str, Any] | None, key: str, remarks: list[str]) -> Any:
    """The plugin's configuration as a WasmPlugin writes it: a mapping, or None where there is none."""
    if not packed:
        return None
    value = packed.get("value")
    if isinstance(value, str):
        try:
            value = json.loads(value) if value else None
        except ValueError:
            remarks.append(f"{key}: its configuration is no JSON, which a WasmPlugin can't hold; left out")
            return None
    if value is not None and not isinstance(value, dict):
        remarks.append(f"{key}: its configuration is no JSON object, which a WasmPlugin can't hold; left out")
        return None
    return value


def scenario_of(found: Imported, name: str, source: str) -> tuple[str, str]:
    """The text of scenario.yaml, and of plugins.yaml beside it."""
    images: list[dict[str, Any]] = []
    for plugin in found.plugins:
        if any(image["as"] == plugin.reference for image in images):
            continue
        if plugin.module is not None:
            images.append({"file": str(plugin.module.resolve()), "as": plugin.reference})
        else:
            images.append({"plugin": _STAND_IN, "tag": plugin.reference.rpartition(":")[2], "as": plugin.reference})
    keys = [plugin.key for plugin in found.plugins]
    scenario = {
        "apiVersion": "ecdsim/v1",
        "kind": "Scenario",
        "metadata": {
            "name": name,
            "title": {"en": f"The plugin chain of {source}", "zh": f"{source} 的插件链"},
            **({"notes": {"en": " ".join(f"{remark}." for remark in found.remarks)}} if found.remarks else {}),
        },
        "spec": {
            "profile": found.profile,
            "images": images,
            "steps": [{"apply": "plugins.yaml"}, *({"wait": {"acked": key}} for key in keys)],
            "expect": ["rollouts.all(r, r.acked)", f"size(rollouts) == {len(keys)}"],
        },
    }
    return _yaml([scenario]), _yaml([plugin.manifest() for plugin in found.plugins])


def _yaml(documents: list[dict[str, Any]]) -> str:
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    stream = io.StringIO()
    yaml.dump_all(documents, stream)
    return stream.getvalue()
