"""ECDS resources through the converter; what comes out is read by another protobuf implementation."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sim.agent.cache import ModuleCache
from sim.agent.convert import Converted, Converter, plugin_key
from sim.model import ECDS, HTTP_COMPOSITE, HTTP_RBAC, HTTP_WASM, LDS, NETWORK_RBAC, NETWORK_WASM
from sim.profiles import load_profile
from sim.trace import Trace
from sim.xds import ProtoAny
from tests.unit.agent.resources import NAME, URL, Shelf, as_json, extension, module, packed, vm_config, wasm

MISSING = "oci://registry.example.com/team/missing:1"
PROFILES = ("istio-1.27", "higress-1.19", "higress")


class Rig:
    """A converter on a shelf of modules."""

    def __init__(self, directory: Path, profile: str) -> None:
        self.shelf = Shelf({URL: module(1)})
        self.cache = ModuleCache(directory, self.shelf)
        self.trace = Trace()
        self.converter = Converter(self.cache, load_profile(profile), self.trace)

    async def convert(self, *resources: ProtoAny) -> list[Converted]:
        return await self.converter.convert(resources, node_id="gw", nonce="n")

    async def one(self, resource: ProtoAny) -> Converted:
        (result,) = await self.convert(resource)
        return result

    def events(self, name: str) -> list[Any]:
        return [event for event in self.trace if event.event == name]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, "istio-1.27")


LOCAL = {"local": {"filename": "/opt/plugin.wasm"}}

UNTOUCHED = {
    "a Composite": extension("x", {"@type": HTTP_COMPOSITE}),
    "an RBAC": extension("x", {"@type": HTTP_RBAC, "rules": {"action": "DENY"}}),
    "local code": extension("x", {"@type": HTTP_WASM, "config": {"vm_config": {"code": LOCAL}}}),
    "local network code": extension("x", {"@type": NETWORK_WASM, "config": {"vm_config": {"code": LOCAL}}}),
}


@pytest.mark.parametrize("resource", UNTOUCHED.values(), ids=UNTOUCHED)
async def test_what_needs_no_module_keeps_its_bytes(rig: Rig, resource: ProtoAny) -> None:
    # A field that nobody knows, and fields in an order that no library writes.
    odd = ProtoAny(type_url=ECDS, value=b"\xfa\x3f\x03odd" + resource.value)
    result = await rig.one(odd)
    assert result == Converted(odd)
    assert result.resource is not None
    assert result.resource.value == b"\xfa\x3f\x03odd" + resource.value
    assert rig.cache.metrics.conversions == {"no_remote_load": 1}


async def test_remote_code_becomes_the_local_file(rig: Rig) -> None:
    result = await rig.one(wasm())
    assert result.module is not None
    assert result.module.read_bytes() == module(1)
    assert as_json(result.resource) == {
        "@type": ECDS,
        "name": NAME,
        "typed_config": {
            "@type": HTTP_WASM,
            "config": {
                "name": NAME,
                "failure_policy": "FAIL_OPEN",
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": str(result.module)}},
                },
            },
        },
    }
    assert rig.cache.metrics.conversions == {"success": 1}
    assert [(e.event, e.span) for e in rig.trace if e.event.startswith("agent.")] == [
        ("agent.fetch", "started"),
        ("agent.fetch", "completed"),
        ("agent.unpack", "started"),
        ("agent.unpack", "completed"),
        ("agent.rewrite", "started"),
        ("agent.rewrite", "completed"),
    ]


async def test_network_code_is_rewritten_too(rig: Rig) -> None:
    result = await rig.one(wasm(type_url=NETWORK_WASM))
    assert as_json(result.resource)["typed_config"]["@type"] == NETWORK_WASM
    assert vm_config(result.resource)["code"] == {"local": {"filename": str(result.module)}}


async def test_an_agent_that_knows_no_network_plugins_lets_their_code_stay_remote(tmp_path: Path) -> None:
    resource = wasm(type_url=NETWORK_WASM)
    assert await Rig(tmp_path, "higress-1.19").one(resource) == Converted(resource)


async def test_what_the_agent_does_not_know_survives_a_rewrite(rig: Rig) -> None:
    resource = wasm(
        capability_restriction_config={"allowed_capabilities": {"proxy_log": {}}},
        allow_on_headers_stop_iteration=True,
        configuration={"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "{}"},
        root_id="root",
    )
    resource.value = b"\xfa\x3f\x03odd" + resource.value
    result = await rig.one(resource)
    assert result.resource is not None
    assert b"\xfa\x3f\x03odd" in result.resource.value
    config = as_json(result.resource)["typed_config"]["config"]
    assert config["capability_restriction_config"] == {"allowed_capabilities": {"proxy_log": {}}}
    assert config["allow_on_headers_stop_iteration"] is True
    assert config["configuration"]["value"] == "{}"
    assert config["root_id"] == "root"


async def test_istios_variables_do_not_reach_the_module_and_others_do(rig: Rig) -> None:
    result = await rig.one(wasm(policy="Always", environment={"COLOR": "blue", "ISTIO_META_OWN": "x"}))
    assert vm_config(result.resource)["environment_variables"] == {"key_values": {"COLOR": "blue"}}


async def test_host_variables_remain_where_no_others_do(rig: Rig) -> None:
    resource = wasm(
        vm_config={
            "code": {"remote": {"http_uri": {"uri": URL}}},
            "environment_variables": {"host_env_keys": ["HOME"], "key_values": {"ISTIO_META_X": "1"}},
        }
    )
    result = await rig.one(resource)
    assert vm_config(result.resource)["environment_variables"] == {"host_env_keys": ["HOME"]}


async def test_the_pull_secret_goes_to_the_registry_only(rig: Rig) -> None:
    result = await rig.one(wasm(environment={"ISTIO_META_WASM_IMAGE_PULL_SECRET": '{"auths":{}}'}))
    assert rig.shelf.secrets == [b'{"auths":{}}']
    assert "environment_variables" not in vm_config(result.resource)
    assert not [event for event in rig.trace if "auths" in repr(event)]


async def test_an_empty_pull_secret_means_that_there_is_none(rig: Rig) -> None:
    result = await rig.one(wasm(environment={"ISTIO_META_WASM_IMAGE_PULL_SECRET": ""}))
    assert result.error is not None
    assert "pull secret does not exist" in result.error
    assert not result.pull_failed
    assert rig.shelf.log == []
    assert rig.cache.metrics.conversions == {"fetch_failure": 1}


async def test_a_checksum_called_nil_is_none(rig: Rig) -> None:
    assert (await rig.one(wasm(sha256="nil"))).error is None


async def test_the_specs_checksum_has_to_match(rig: Rig) -> None:
    assert (await rig.one(wasm(sha256=rig.shelf.checksum(URL)))).error is None
    assert "checksum" in ((await rig.one(wasm(sha256="1" * 64))).error or "")


async def test_the_pull_policy_is_that_of_the_resource(rig: Rig) -> None:
    await rig.one(wasm(version="1"))
    rig.shelf.log.clear()
    await rig.one(wasm(version="2"))
    await rig.one(wasm(version="3", policy="Nonsense"))
    assert rig.shelf.log == []
    await rig.one(wasm(version="4", policy="Always"))
    assert rig.shelf.log == [f"manifest {URL}"]
    (known,) = [event for event in rig.events("agent.fetch") if event.data.get("known")]
    assert known.span == "completed"


async def test_the_timeout_is_that_of_the_resource(rig: Rig) -> None:
    rig.shelf.gate("manifest", URL)
    assert "within 0.01 s" in ((await rig.one(wasm(timeout="0.010s"))).error or "")
    assert "manifest_failure" in rig.cache.metrics.fetches
    (failed,) = [event for event in rig.events("agent.fetch") if event.span == "failed"]
    assert "within 0.01 s" in failed.data["error"]


ALLOW_ALL: dict[str, Any] = {"@type": HTTP_RBAC}
DENY_ALL: dict[str, Any] = {"@type": HTTP_RBAC, "rules": {}}


@pytest.mark.parametrize(
    ("profile", "fail_open", "instead"),
    [
        ("istio-1.27", True, ALLOW_ALL),
        ("istio-1.27", False, DENY_ALL),
        ("higress-1.19", True, ALLOW_ALL),
        ("higress-1.19", False, None),
        ("higress", True, None),
        ("higress", False, None),
    ],
)
async def test_a_failed_pull_is_answered_as_the_profile_says(
    tmp_path: Path, profile: str, fail_open: bool, instead: dict[str, Any] | None
) -> None:
    rig = Rig(tmp_path, profile)
    result = await rig.one(wasm(MISSING, opens=fail_open, fail_open=fail_open))
    assert result.refused == (instead is None)
    assert result.pull_failed
    assert "there is no" in (result.error or "")
    if instead is not None:
        assert as_json(result.resource) == {"@type": ECDS, "name": NAME, "typed_config": instead}
    (told,) = rig.events("agent.replace")
    assert (told.resource, told.image) == (NAME, MISSING)


@pytest.mark.parametrize(
    ("fail_open", "instead"),
    [(True, {"stat_prefix": "wasm-default-allow"}), (False, {"stat_prefix": "wasm-default-deny", "rules": {}})],
)
async def test_a_network_plugin_is_replaced_by_a_network_filter(
    rig: Rig, fail_open: bool, instead: dict[str, Any]
) -> None:
    result = await rig.one(wasm(MISSING, opens=fail_open, type_url=NETWORK_WASM))
    assert as_json(result.resource)["typed_config"] == {"@type": NETWORK_RBAC, **instead}


@pytest.mark.parametrize(
    ("config", "opens"),
    [
        ({"failure_policy": "FAIL_OPEN"}, True),
        ({"failure_policy": "UNSPECIFIED", "fail_open": True}, True),
        ({"failure_policy": "FAIL_CLOSED", "fail_open": True}, False),
        ({"failure_policy": "FAIL_RELOAD"}, False),
        ({"failure_policy": "UNSPECIFIED"}, False),
    ],
)
async def test_the_newer_field_decides_what_a_failure_means(rig: Rig, config: dict[str, Any], opens: bool) -> None:
    result = await rig.one(wasm(MISSING, **config))
    assert as_json(result.resource)["typed_config"] == (ALLOW_ALL if opens else DENY_ALL)


@pytest.mark.parametrize("opens", [True, False])
async def test_the_agent_of_the_fork_knows_the_older_field_alone(tmp_path: Path, opens: bool) -> None:
    rig = Rig(tmp_path, "higress-1.19")
    result = await rig.one(wasm(MISSING, opens=not opens, fail_open=opens))
    assert result.refused is not opens


@pytest.mark.parametrize("profile", PROFILES)
async def test_one_that_is_refused_does_not_hide_the_others(tmp_path: Path, profile: str) -> None:
    rig = Rig(tmp_path, profile)
    results = await rig.convert(wasm(), wasm(MISSING, name="bad", opens=False), UNTOUCHED["a Composite"])
    assert [result.error is None for result in results] == [True, False, True]
    assert results[1].refused == (profile != "istio-1.27")


async def test_resources_are_converted_side_by_side_and_stay_in_order(rig: Rig) -> None:
    slow = "oci://registry.example.com/team/slow:1"
    rig.shelf.modules[slow] = module(2)
    gate = rig.shelf.gate("module", slow)
    converting = asyncio.create_task(rig.convert(wasm(slow, name="slow"), wasm(name="quick")))
    await rig.trace.wait_for(lambda e: e.event == "agent.rewrite" and e.span == "completed")
    assert [event.resource for event in rig.events("agent.rewrite")] == ["quick", "quick"]
    gate.set()
    assert [as_json(result.resource)["name"] for result in await converting] == ["slow", "quick"]


UNREADABLE = {
    "no protobuf": ProtoAny(type_url=ECDS, value=b"\xff"),
    "another type": ProtoAny(type_url=LDS),
    "a name alone": packed(ECDS, {"name": "x"}),
    "a Wasm without code": extension("x", {"@type": HTTP_WASM, "config": {}}),
}


@pytest.mark.parametrize("resource", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("profile", PROFILES)
async def test_what_cannot_be_read_is_refused_by_every_agent(tmp_path: Path, profile: str, resource: ProtoAny) -> None:
    rig = Rig(tmp_path, profile)
    result = await rig.one(resource)
    assert result.refused
    assert not result.pull_failed
    assert rig.cache.metrics.conversions == {"unmarshal_failure": 1}


async def test_remote_code_without_an_address_is_counted_apart(rig: Rig) -> None:
    result = await rig.one(wasm(vm_config={"code": {"remote": {"sha256": "1" * 64}}}))
    assert not result.pull_failed
    assert rig.cache.metrics.conversions == {"miss_remote_fetch_hint": 1}


async def test_a_second_conversion_of_a_failure_is_not_told_again(rig: Rig) -> None:
    await rig.converter.convert([wasm(MISSING)], node_id="gw", nonce="n")
    await rig.converter.convert([wasm(MISSING)], node_id="gw", nonce="n", again=True)
    assert len(rig.events("agent.replace")) == 1
    assert len([event for event in rig.events("agent.fetch") if event.span == "failed"]) == 2


def test_a_plugins_key_has_its_namespace_first() -> None:
    assert plugin_key("higress-system.request.block") == "higress-system/request.block"
    assert plugin_key("plain") == "plain"
