"""ECDS resources: remote code becomes a local file, or what the profile says of a failure.

Imitates pilot-agent's pkg/wasm/convert.go. A resource that is no Wasm, or whose code is not remote, keeps its bytes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

from google.protobuf.message import DecodeError

from sim.agent.cache import ModuleCache, ModuleError, ModuleRequest, PullPolicy
from sim.model import ECDS, HTTP_RBAC, HTTP_WASM, NETWORK_RBAC, NETWORK_WASM
from sim.profiles import FetchFailure, Replacement
from sim.proto_gen import envoy_extension_pb2 as envoy
from sim.trace import Payload, Span, Trace
from sim.xds import ProtoAny
from sim.xds.packing import pack_own, to_json

_META = "ISTIO_META_"
_WASM = frozenset({HTTP_WASM, NETWORK_WASM})


@dataclass(frozen=True, slots=True)
class Refused:
    """A resource for which the whole response is to be NACKed, and why."""

    name: str
    error: str


class _Stages:
    """Turns the cache's progress into the spans `agent.fetch` and `agent.unpack`."""

    def __init__(self, trace: Trace, fields: dict[str, Any]) -> None:
        self._trace = trace
        self._fields = fields
        self._span: Span | None = None

    def fetching(self) -> None:
        self._span = self._trace.span("agent.fetch", **self._fields)

    def fetched(self, size_bytes: int) -> None:
        if self._span is not None:
            self._span.complete(size_bytes=size_bytes)
        self._span = self._trace.span("agent.unpack", **self._fields)

    def unpacked(self, size_bytes: int) -> None:
        if self._span is not None:
            self._span.complete(size_bytes=size_bytes)
        self._span = None

    def found(self) -> None:
        """The pull ended early: the manifest's digest was known already."""
        if self._span is not None:
            self._span.complete(known=True)
        self._span = None

    def failed(self, error: str) -> None:
        if self._span is not None:
            self._span.fail(error)
        self._span = None


class Converter:
    """Rewrites the resources of one response side by side."""

    def __init__(self, cache: ModuleCache, on_failure: FetchFailure, trace: Trace) -> None:
        self._cache = cache
        self._on_failure = on_failure
        self._trace = trace
        self.counters: Counter[str] = Counter()

    async def convert(self, resources: list[ProtoAny], *, node_id: str, nonce: str) -> list[ProtoAny] | list[Refused]:
        """The rewritten resources in the same order, or, if any has to be refused, the refusals."""
        if len(resources) == 1:
            results = [await self._convert(resources[0], node_id, nonce)]
        else:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(self._convert(item, node_id, nonce)) for item in resources]
            results = [task.result() for task in running]
        refused = [result for result in results if isinstance(result, Refused)]
        return refused or cast("list[ProtoAny]", results)

    async def _convert(self, resource: ProtoAny, node_id: str, nonce: str) -> ProtoAny | Refused:
        try:
            extension = envoy.TypedExtensionConfig.FromString(resource.value)
            if extension.typed_config.type_url not in _WASM:
                return self._passed(resource)
            wasm = envoy.Wasm.FromString(extension.typed_config.value)
        except DecodeError:
            return self._passed(resource)
        config, vm = wasm.config, wasm.config.vm_config
        if vm.code.WhichOneof("specifier") != "remote":
            return self._passed(resource)

        uri = vm.code.remote.http_uri.uri
        fields: dict[str, Any] = {
            "node_id": node_id,
            "nonce": nonce,
            "resource": extension.name,
            "plugin": plugin_key(config.name),
            "image": uri,
        }
        try:
            await self._localise(extension.name, vm, uri, _Stages(self._trace, fields))
        except ModuleError as error:
            result = "missing_remote_fetch_hint" if not uri else "fetch_failure"
            self.counters[f"wasm_config_conversion_count{{result={result}}}"] += 1
            return self._replace(extension, config, error, fields)
        before = resource.value
        with self._trace.span("agent.rewrite", **fields) as span:
            extension.typed_config.value = wasm.SerializeToString(deterministic=True)
            rewritten = ProtoAny(type_url=resource.type_url, value=extension.SerializeToString())
            span.add(
                payloads={
                    "before": Payload(lambda: to_json(resource.type_url, before)),
                    "after": Payload(lambda: to_json(rewritten.type_url, rewritten.value)),
                },
            )
        self.counters["wasm_config_conversion_count{result=success}"] += 1
        return rewritten

    def _passed(self, resource: ProtoAny) -> ProtoAny:
        self.counters["wasm_config_conversion_count{result=no_remote_load}"] += 1
        return resource

    async def _localise(self, name: str, vm: envoy.VmConfig, uri: str, stages: _Stages) -> None:
        remote = vm.code.remote
        variables = vm.environment_variables.key_values
        secret = variables.get(_META + "WASM_IMAGE_PULL_SECRET")
        if secret == "":
            # istiod found no such secret and said so by an empty value.
            raise ModuleError(f"cannot fetch Wasm module {name}: missing image pulling secret", "fetch_failure")
        if not uri:
            raise ModuleError(f"wasm remote fetch of {name} has no http_uri", "missing_remote_fetch_hint")
        policy = variables.get(_META + "WASM_IMAGE_PULL_POLICY", "UNSPECIFIED_POLICY")
        timeout = remote.http_uri.timeout
        request = ModuleRequest(
            url=uri,
            # "nil" is a value of old control planes for "none".
            checksum=remote.sha256 if remote.sha256 != "nil" else "",
            resource_name=name,
            resource_version=variables.get(_META + "WASM_PLUGIN_RESOURCE_VERSION", ""),
            timeout_s=timeout.seconds + timeout.nanos / 1e9,
            pull_secret=secret.encode() if secret else None,
            pull_policy=cast("PullPolicy", policy if policy in ("IfNotPresent", "Always") else "UNSPECIFIED_POLICY"),
        )
        try:
            path, known = await self._cache.get(request, stages)
        except ModuleError as error:
            stages.failed(error.message)
            raise
        if known:
            stages.found()
        _strip(vm)
        vm.code.local.filename = str(path)

    def _replace(
        self,
        extension: envoy.TypedExtensionConfig,
        config: envoy.PluginConfig,
        error: ModuleError,
        fields: dict[str, Any],
    ) -> ProtoAny | Refused:
        fails_open = config.fail_open or config.failure_policy == envoy.FAIL_OPEN
        choice: Replacement = self._on_failure.fail_open if fails_open else self._on_failure.fail_close
        self._trace.emit("agent.replace", **fields, replacement=choice, error=error.message)
        if choice == "nack":
            return Refused(extension.name, error.message)
        # No rules at all lets everything pass; rules without a policy let nothing pass.
        rules = None if choice == "allow_all" else envoy.Rules()
        if extension.typed_config.type_url == HTTP_WASM:
            replacement = pack_own(HTTP_RBAC, envoy.RBAC(rules=rules))
        else:
            replacement = pack_own(NETWORK_RBAC, envoy.NetworkRBAC(rules=rules, stat_prefix=extension.name))
        return pack_own(ECDS, envoy.TypedExtensionConfig(name=extension.name, typed_config=replacement))


def plugin_key(name: str) -> str:
    """`namespace/name` from the plugin's name in Envoy, `namespace.name` (a namespace has no dots)."""
    namespace, dot, rest = name.partition(".")
    return f"{namespace}/{rest}" if dot else name


def _strip(vm: envoy.VmConfig) -> None:
    """What Istio put into the environment for the agent must not reach the module."""
    if not vm.HasField("environment_variables"):
        return
    variables = vm.environment_variables
    for key in [key for key in variables.key_values if key.startswith(_META)]:
        del variables.key_values[key]
    if not variables.key_values and not variables.host_env_keys:
        vm.ClearField("environment_variables")
