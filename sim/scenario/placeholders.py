"""What differs between two runs although nothing changed, replaced by names: ports, versions, times, module files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sim.model import EDS, LDS
from sim.trace import Event

#: Reads a payload by its `sha256:…` reference.
ReadPayload = Callable[[str], Any]

GATEWAY_PORT = "<gateway-port>"
UPSTREAM_PORT = "<upstream-port>"
RESOURCE_VERSION = "<resource-version>"

#: What Core calls the cluster of its default upstream.
_UPSTREAM = re.compile(r"\|upstream\.[^|]*$")
_LISTENER = re.compile(r"_(\d+)$")
#: What the store stamps on an object; the spec is the author's.
_STAMPS = ("creationTimestamp", "managedFields", "resourceVersion", "uid")
_MCP_STAMPS = ("createTime", "version")
_VERSION_VARIABLE = "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION"

#: Where a module lies is its agent's affair; what it is, the last two words say: its URL's hash, and its own.
_MODULE_FILE = re.compile(r"(?:/[^/\s:'\"]+)+/(?P<module>[0-9a-f]{64}/[0-9a-f]{64}\.wasm)")
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(127\.\d+\.\d+\.\d+|localhost|\[::1\]):\d{1,5}(?!\d)"), r"\1:<port>"),
    (re.compile(r"\bsha256:[0-9a-f]{64}\b"), "<digest>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?"), "<time>"),
    (re.compile(r"/(?:[^/\s:'\"]+/)*ecdsim-[^/\s:'\"]+"), "<temporary>"),
    (re.compile(r"\b\d+(?:\.\d+)? ?(?:ns|µs|us|ms|s)\b"), "<duration>"),
)


@dataclass(slots=True)
class Placeholders:
    """The names of a run's own values.

    `ports` has the numbers that this run drew, `modules` the files that agents stored, by the end of their path.
    """

    ports: dict[int, str] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)

    @classmethod
    def learned(cls, events: Iterable[Event], read: ReadPayload) -> Placeholders:
        """From the trace: the gateway's port off its listener's name, the upstream's off its endpoint.

        A module's file is called by its image; where a tag was moved, the second file `… #2`.
        """
        made = cls()
        files: dict[str, list[str]] = {}
        for event in events:
            refs = event.data.get("payloads", {})
            if event.event == "discovery.push" and event.type_url == LDS:
                for name in event.data.get("resources", ()):
                    if (found := _LISTENER.search(name)) is not None:
                        made.ports.setdefault(int(found[1]), GATEWAY_PORT)
            elif event.event == "discovery.push" and event.type_url == EDS and "sent" in refs:
                for port in _upstream_ports(read(refs["sent"])):
                    made.ports.setdefault(port, UPSTREAM_PORT)
            elif event.event == "agent.rewrite" and "after" in refs:
                file = _module_file(read(refs["after"]))
                known = files.setdefault(event.image or "", [])
                if file is not None and file not in known:
                    known.append(file)
        for image, paths in sorted(files.items(), reverse=True):
            for number, path in enumerate(paths):
                # Two images of the same bytes share a file; the first in the alphabet names it, in whatever order
                # they were pulled.
                made.modules[path] = f"<module of {image}{f' #{number + 1}' if number else ''}>"
        return made

    def text(self, text: str) -> str:
        """A message, with whatever a run may put into one replaced."""
        text = self._module_files(text)
        for pattern, name in _RULES:
            text = pattern.sub(name, text)
        return self._ports(text)

    def name(self, name: str) -> str:
        """A resource's name, an image's URL, a value of a payload: only what this run drew is replaced."""
        return self._ports(self._module_files(name))

    def payload(self, data: Any) -> Any:
        """JSON data of a hop: without what the store stamps, with names for what this run drew."""
        return self._value(_without_stamps(data))

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                self.name(key): RESOURCE_VERSION if key == _VERSION_VARIABLE else self._value(inner)
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if isinstance(value, str):
            return self.name(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return self.ports.get(value, value)
        return value

    def _module_files(self, text: str) -> str:
        return _MODULE_FILE.sub(lambda found: self.modules.get(found["module"], "<module>"), text)

    def _ports(self, text: str) -> str:
        for port, name in self.ports.items():
            text = re.sub(rf"(?<![0-9A-Za-z]){port}(?![0-9A-Za-z])", name, text)
        return text


def _without_stamps(data: Any) -> Any:
    if isinstance(data, list):
        return [_without_stamps(item) for item in data]
    if isinstance(data, dict) and isinstance(data.get("metadata"), dict):
        stamps = _STAMPS if "kind" in data else _MCP_STAMPS if "body" in data else ()
        metadata = {key: value for key, value in data["metadata"].items() if key not in stamps}
        return {**data, "metadata": metadata}
    return data


def _upstream_ports(assignments: Any) -> Iterable[int]:
    for assignment in assignments:
        if _UPSTREAM.search(assignment.get("cluster_name", "")) is None:
            continue
        for locality in assignment.get("endpoints", ()):
            for endpoint in locality.get("lb_endpoints", ()):
                address = endpoint.get("endpoint", {}).get("address", {}).get("socket_address", {})
                if isinstance(address.get("port_value"), int):
                    yield address["port_value"]


def _module_file(extension: Any) -> str | None:
    config = extension.get("typed_config", {}).get("config", {})
    file = config.get("vm_config", {}).get("code", {}).get("local", {}).get("filename")
    found = _MODULE_FILE.fullmatch(file) if isinstance(file, str) else None
    return found["module"] if found is not None else None
