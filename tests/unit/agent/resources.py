"""ECDS resources, written with xds-protos, and a source of modules that a test fills by hand."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import json_format

from sim.agent.cache import ModuleError
from sim.model import ECDS, HTTP_WASM
from sim.xds import ProtoAny
from tests.independent import message, to_json

MODULE = b"\0asm\1\0\0\0"
URL = "oci://registry.example.com/team/plugin:1.0.0"
NAME = "higress-system.plugin"


def module(number: int) -> bytes:
    """A module that differs from every other number's."""
    return MODULE + bytes([0, number])


def packed(type_url: str, fields: Mapping[str, Any]) -> ProtoAny:
    """A message from its JSON form, in an Any."""
    made = message(type_url, b"")
    json_format.ParseDict(dict(fields), made)
    return ProtoAny(type_url=type_url, value=made.SerializeToString(deterministic=True))


def extension(name: str, config: Mapping[str, Any]) -> ProtoAny:
    """A TypedExtensionConfig; `config` is the JSON form of what is in it, "@type" included."""
    return packed(ECDS, {"name": name, "typed_config": config})


def wasm(
    url: str = URL,
    *,
    name: str = NAME,
    version: str = "1",
    policy: str = "",
    sha256: str = "",
    opens: bool = True,
    type_url: str = HTTP_WASM,
    timeout: str = "30s",
    environment: Mapping[str, str] | None = None,
    **config: Any,
) -> ProtoAny:
    """A Wasm extension with remote code, as Discovery sends it; `config` is merged into its PluginConfig."""
    variables = {"ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION": version, **(environment or {})}
    if policy:
        variables["ISTIO_META_WASM_IMAGE_PULL_POLICY"] = policy
    return extension(
        name,
        {
            "@type": type_url,
            "config": {
                "name": name,
                "failure_policy": "FAIL_OPEN" if opens else "FAIL_CLOSED",
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {
                        "remote": {"http_uri": {"uri": url, "cluster": "_", "timeout": timeout}, "sha256": sha256}
                    },
                    "environment_variables": {"key_values": variables},
                },
                **config,
            },
        },
    )


def as_json(resource: ProtoAny | None) -> dict[str, Any]:
    """The resource, read by xds-protos."""
    assert resource is not None
    return to_json(resource.type_url, resource.value)


def vm_config(resource: ProtoAny | None) -> dict[str, Any]:
    vm: dict[str, Any] = as_json(resource)["typed_config"]["config"]["vm_config"]
    return vm


class _Copy:
    def __init__(self, shelf: Shelf, url: str, content: bytes) -> None:
        self.checksum = hashlib.sha256(b"manifest of " + content).hexdigest()
        self._shelf = shelf
        self._url = url
        self._content = content

    async def fetch(self, downloaded: Callable[[int], None]) -> bytes:
        await self._shelf.request("module", self._url)
        downloaded(len(self._content))
        return self._content


class Shelf:
    """Modules by URL; one that is missing fails. `log` has each request; one with a gate there waits for it."""

    def __init__(self, modules: Mapping[str, bytes] | None = None) -> None:
        self.modules = dict(modules or {})
        self.gates: dict[str, asyncio.Event] = {}
        self.log: list[str] = []
        self.secrets: list[bytes | None] = []
        self._requests = asyncio.Semaphore(0)

    def checksum(self, url: str) -> str:
        return _Copy(self, url, self.modules[url]).checksum

    async def request(self, what: str, url: str) -> None:
        """A request for a `manifest` or a `module`."""
        self.log.append(f"{what} {url}")
        self._requests.release()
        if f"{what} {url}" in self.gates:
            await self.gates[f"{what} {url}"].wait()

    def gate(self, what: str, url: str) -> asyncio.Event:
        """Hold such requests back until the event is set."""
        return self.gates.setdefault(f"{what} {url}", asyncio.Event())

    async def requested(self, count: int = 1) -> None:
        """Wait for so many requests that nobody has waited for yet."""
        for _ in range(count):
            await self._requests.acquire()

    async def prepare(self, url: str, pull_secret: bytes | None) -> _Copy:
        self.secrets.append(pull_secret)
        found = self.modules.get(url)
        await self.request("manifest", url)
        if found is None:
            raise ModuleError(f"there is no {url}", "manifest_failure")
        return _Copy(self, url, found)
