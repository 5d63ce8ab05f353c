"""What crossed each hop, each distinct payload once, and what it is to be held against."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sim.model import ECDS
from sim.report.html.redaction import Redaction
from sim.trace import Event

#: A payload that is longer than this, in characters of JSON, is named instead of shown.
LONGEST = 200_000

_SHARED = "before the gateways"


class Payloads:
    """Numbers the payloads of a run, secrets taken out. `docs` is what the page holds, by number."""

    def __init__(self, read: Callable[[str], Any], redaction: Redaction) -> None:
        self.docs: list[Any] = []
        self._read = read
        self._redaction = redaction
        self._numbers: dict[str, int] = {}
        self._of_ref: dict[str, int] = {}
        #: The latest payload by subject, and by subject and hop.
        self._before: dict[Any, tuple[int, int]] = {}
        self._last: dict[Any, tuple[int, int]] = {}

    def take(self, position: int, event: Event, plugin: str | None) -> list[dict[str, Any]]:
        """The payloads of an event, in the order of their hops.

        Each has its `role`, its number `doc` and, of what is compared, `part` (the resource that `plugin` names, where
        there are several); `hop` and `last` are [position of the event, number] of the hop before and of the same hop
        the last time.
        """
        return self._take(position, event, event.data.get("payloads") or {}, plugin)

    def take_manifest(self, position: int, apply: Event, convert: Event) -> list[dict[str, Any]]:
        """The manifest that an apply brings, which the trace has with the conversion that follows it."""
        refs = {role: ref for role, ref in (convert.data.get("payloads") or {}).items() if role == "before"}
        return self._take(position, apply, refs, apply.plugin)

    def _take(self, position: int, event: Event, refs: Mapping[str, str], plugin: str | None) -> list[dict[str, Any]]:
        made = []
        for role in sorted(refs, key=lambda role: ("before" not in role, role)):
            doc = self._number_of(refs[role])
            if doc is None:
                continue
            subject = _subject(event, plugin)
            part = self._keep(_part(self.docs[doc], plugin))
            entry: dict[str, Any] = {"role": role, "doc": doc}
            if part != doc:
                entry["part"] = part
            if (before := self._before.get(_upstream(event, role, subject))) is not None:
                entry["hop"] = list(before)
            if (last := self._last.get((subject, event.event, role))) is not None:
                entry["last"] = list(last)
            made.append(entry)
            self._before[subject] = (position, part)
            self._last[subject, event.event, role] = (position, part)
        return made

    def _number_of(self, ref: str) -> int | None:
        if ref not in self._of_ref:
            try:
                data = self._read(ref)
            except (OSError, ValueError):
                return None
            self._redaction.learn(data)
            text = json.dumps(data)
            if len(text) > LONGEST:
                file = f"payloads/{ref.removeprefix('sha256:')}.json"
                self._of_ref[ref] = self._keep({"too long for this page": file, "characters": len(text)})
            else:
                self._of_ref[ref] = self._keep(self._redaction.data(data))
        return self._of_ref[ref]

    def _keep(self, data: Any) -> int:
        number = self._numbers.setdefault(json.dumps(data, sort_keys=True), len(self.docs))
        if number == len(self.docs):
            self.docs.append(data)
        return number


def _subject(event: Event, plugin: str | None) -> tuple[str, str, str]:
    """What a payload is about: hops are compared within it."""
    gateway = str(event.data.get("gateway", ""))
    if event.type_url in (None, ECDS) or (event.type_url or "").endswith("/WasmPlugin"):
        # Before the gateways part, the plugin's way is the same for all of them.
        return "plugin", plugin or "", _SHARED if event.part == "core" else gateway
    return "type", event.type_url or "", gateway


def _upstream(event: Event, role: str, subject: tuple[str, str, str]) -> tuple[str, str, str] | None:
    """The subject whose latest payload is that of the hop before; None for the first hop."""
    kind, name, _ = subject
    if kind == "type":
        return None if event.part in ("core", "discovery") else subject
    if event.part == "core":
        # What goes into the conversion is the change itself.
        return None if role == "before" else subject
    return (kind, name, _SHARED) if event.part == "discovery" else subject


def _part(data: Any, plugin: str | None) -> Any:
    """The resource that is the plugin's; the only one; else all."""
    if not isinstance(data, list):
        return data
    if plugin is not None:
        namespace, _, name = plugin.partition("/")
        own = [each for each in data if isinstance(each, dict) and _name(each).endswith(f"{namespace}.{name}")]
        own += [each for each in data if isinstance(each, dict) and _name(each) == plugin]
        if len(own) == 1:
            return own[0]
    return data[0] if len(data) == 1 else data


def _name(resource: Mapping[str, Any]) -> str:
    metadata = resource.get("metadata")
    return str(resource.get("name") or (metadata.get("name") if isinstance(metadata, dict) else "") or "")
