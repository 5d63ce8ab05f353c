"""ECDS resources: remote code becomes a local file, or what the profile says of a failure.

Imitates pilot-agent's pkg/wasm/convert.go. A resource that is no Wasm, or whose code is not remote, keeps its bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from google.protobuf.message import DecodeError

from sim.agent import shim, wamr
from sim.agent.cache import ModuleCache, ModuleError, ModuleRequest, PullPolicy
from sim.agent.extensions import remote_wasm
from sim.agent.metrics import ConversionResult
from sim.model import ECDS, HTTP_RBAC, HTTP_WASM, NETWORK_RBAC, NETWORK_WASM
from sim.profiles import Profile, Replacement
from sim.proto_gen import envoy_extension_pb2 as envoy
from sim.trace import Payload, Span, Trace
from sim.xds import ProtoAny
from sim.xds.packing import pack_own, to_json

_META = "ISTIO_META_"
#: What a fetch may take where the resource does not say.
_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Converted:
    """What became of one resource.

    `module` is the file that a rewritten resource names. `error` says why there is none: then `resource` is the
    replacement, or None when the whole response has to be refused. `pull_failed`: to pull again may help.
    """

    resource: ProtoAny | None
    module: Path | None = None
    error: str | None = None
    pull_failed: bool = False

    @property
    def refused(self) -> bool:
        return self.resource is None


class _NoPullError(ModuleError):
    """There is nothing to pull, now or later."""

    def __init__(self, message: str, conversion: ConversionResult) -> None:
        super().__init__(message)
        self.conversion = conversion


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

    def __init__(self, cache: ModuleCache, profile: Profile, trace: Trace) -> None:
        self._cache = cache
        self._profile = profile
        self._wasm = {HTTP_WASM, NETWORK_WASM} if profile.network_plugins else {HTTP_WASM}
        self._trace = trace
        self._metrics = cache.metrics
        self._for_wamr: dict[Path, bool] = {}

    async def convert(
        self, resources: Sequence[ProtoAny], *, node_id: str, nonce: str, again: bool = False
    ) -> list[Converted]:
        """What becomes of each resource, in the same order. `again`: their failure was told before."""
        started_ns = self._trace.clock.monotonic_ns()
        if len(resources) == 1:
            results = [await self._convert(resources[0], node_id, nonce, again)]
        else:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(self._convert(item, node_id, nonce, again)) for item in resources]
            results = [task.result() for task in running]
        self._metrics.conversion_took((self._trace.clock.monotonic_ns() - started_ns) // 1_000_000)
        return results

    async def _convert(self, resource: ProtoAny, node_id: str, nonce: str, again: bool) -> Converted:
        try:
            read = remote_wasm(resource, self._wasm)
        except (DecodeError, ValueError) as error:
            self._metrics.conversions["unmarshal_failure"] += 1
            return Converted(None, error=str(error))
        if read is None:
            self._metrics.conversions["no_remote_load"] += 1
            return Converted(resource)

        extension, wasm = read
        config, vm = wasm.config, wasm.config.vm_config
        fields: dict[str, Any] = {
            "node_id": node_id,
            "nonce": nonce,
            "resource": extension.name,
            "plugin": plugin_key(config.name),
            "image": vm.code.remote.http_uri.uri,
        }
        try:
            path = await self._fetch(_request(extension.name, vm), _Stages(self._trace, fields))
        except ModuleError as error:
            self._metrics.conversions[error.conversion if isinstance(error, _NoPullError) else "fetch_failure"] += 1
            return self._replace(extension, config, error, fields, again)
        _strip(vm)
        if self._profile.wamr_modules and self._is_for_wamr(path):
            vm.runtime, vm.allow_precompiled = wamr.RUNTIME, True
        if self._cache.is_rewritten(path):
            self._trace.emit("agent.shim", **fields, **shim.TOLD)
            # Stock Envoy would otherwise take a plugin that waits for the body for one that waits for ever.
            if not config.HasField("allow_on_headers_stop_iteration"):
                config.allow_on_headers_stop_iteration.value = True
        vm.code.local.filename = str(path)
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
        self._metrics.conversions["success"] += 1
        return Converted(rewritten, path)

    async def _fetch(self, request: ModuleRequest, stages: _Stages) -> Path:
        try:
            path, known = await self._cache.get(request, stages)
        except ModuleError as error:
            stages.failed(error.message)
            raise
        if known:
            stages.found()
        return path

    def _is_for_wamr(self, path: Path) -> bool:
        if path not in self._for_wamr:
            self._for_wamr[path] = wamr.is_compiled_for_wamr(path)
        return self._for_wamr[path]

    def _replace(
        self,
        extension: envoy.TypedExtensionConfig,
        config: envoy.PluginConfig,
        error: ModuleError,
        fields: dict[str, Any],
        again: bool,
    ) -> Converted:
        on_failure = self._profile.on_fetch_failure
        choice: Replacement = on_failure.fail_open if self._fails_open(config) else on_failure.fail_close
        if not again:
            self._trace.emit("agent.replace", **fields, replacement=choice, error=error.message)
        pull_failed = not isinstance(error, _NoPullError)
        if choice == "nack":
            return Converted(None, error=f"{extension.name}: {error.message}", pull_failed=pull_failed)
        # No rules at all lets everything pass; rules without a policy let nothing pass.
        rules = None if choice == "allow_all" else envoy.Rules()
        if extension.typed_config.type_url == HTTP_WASM:
            replacement = pack_own(HTTP_RBAC, envoy.RBAC(rules=rules))
        else:
            prefix = f"wasm-default-{'allow' if rules is None else 'deny'}"
            replacement = pack_own(NETWORK_RBAC, envoy.NetworkRBAC(rules=rules, stat_prefix=prefix))
        made = pack_own(ECDS, envoy.TypedExtensionConfig(name=extension.name, typed_config=replacement))
        return Converted(made, error=error.message, pull_failed=pull_failed)

    def _fails_open(self, config: envoy.PluginConfig) -> bool:
        # An agent looks at the newer field only if its Discovery writes it.
        if self._profile.failure_field == "failure_policy" and config.failure_policy != envoy.UNSPECIFIED:
            return bool(config.failure_policy == envoy.FAIL_OPEN)
        return config.fail_open


def plugin_key(name: str) -> str:
    """`namespace/name` from the plugin's name in Envoy, `namespace.name` (a namespace has no dots)."""
    namespace, dot, rest = name.partition(".")
    return f"{namespace}/{rest}" if dot else name


def _request(name: str, vm: envoy.VmConfig) -> ModuleRequest:
    """What to ask the cache for. Raises _NoPullError where the resource does not say enough."""
    remote = vm.code.remote
    variables = vm.environment_variables.key_values
    secret = variables.get(_META + "WASM_IMAGE_PULL_SECRET")
    if secret == "":
        # istiod found no such secret and said so by an empty value.
        raise _NoPullError(f"can't fetch the module of {name}: its image pull secret does not exist", "fetch_failure")
    if not remote.HasField("http_uri"):
        raise _NoPullError(f"can't fetch the module of {name}: it has no http_uri", "miss_remote_fetch_hint")
    policy = variables.get(_META + "WASM_IMAGE_PULL_POLICY", "UNSPECIFIED_POLICY")
    timeout = remote.http_uri.timeout
    return ModuleRequest(
        url=remote.http_uri.uri,
        # "nil" is a value of old control planes for "none".
        checksum=remote.sha256 if remote.sha256 != "nil" else "",
        resource_name=name,
        resource_version=variables.get(_META + "WASM_PLUGIN_RESOURCE_VERSION", ""),
        timeout_s=timeout.seconds + timeout.nanos / 1e9 if remote.http_uri.HasField("timeout") else _TIMEOUT_S,
        pull_secret=secret.encode() if secret else None,
        pull_policy=cast("PullPolicy", policy if policy in ("IfNotPresent", "Always") else "UNSPECIFIED_POLICY"),
    )


def _strip(vm: envoy.VmConfig) -> None:
    """What Istio put into the environment for the agent must not reach the module."""
    if not vm.HasField("environment_variables"):
        return
    variables = vm.environment_variables
    for key in [key for key in variables.key_values if key.startswith(_META)]:
        del variables.key_values[key]
    if not variables.key_values and not variables.host_env_keys:
        vm.ClearField("environment_variables")
