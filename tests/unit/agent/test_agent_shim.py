"""The ABI shim in the agent: what is stored, what Envoy is told, and that nothing else moves."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from sim.agent.cache import ModuleCache
from sim.agent.convert import Converted, Converter
from sim.agent.shim import shim_of
from sim.model import NETWORK_WASM
from sim.profiles import Profile, load_profile
from sim.trace import Trace
from sim.wasm.abi import shimmed
from sim.xds import ProtoAny
from tests.unit.agent.resources import URL, Shelf, as_json, wasm
from tests.wasm_modules import ABI_HIGRESS, HEADER, custom, plugin

GO_MODULE = plugin(abis=[ABI_HIGRESS])
STOCK_MODULE = plugin()
#: Larger than what is written without a thread.
LARGE = plugin(abis=[ABI_HIGRESS], more=custom("padding", bytes(300 * 1024)))


class Rig:
    def __init__(self, directory: Path, profile: Profile, content: bytes) -> None:
        self.directory = directory
        self.shelf = Shelf({URL: content})
        self.cache = ModuleCache(directory, self.shelf, rewrite=shim_of(profile))
        self.trace = Trace()
        self.converter = Converter(self.cache, profile, self.trace)

    async def one(self, resource: ProtoAny) -> Converted:
        (result,) = await self.converter.convert([resource], node_id="gw", nonce="n")
        return result

    def shims(self) -> list[Any]:
        return [event for event in self.trace if event.event == "agent.shim"]


def config(converted: Converted) -> dict[str, Any]:
    found: dict[str, Any] = as_json(converted.resource)["typed_config"]["config"]
    return found


@pytest.mark.parametrize(
    ("profile", "abi_shim"), [("higress", "auto"), ("higress-1.19", "auto"), ("istio-1.27", "off")]
)
def test_the_profiles_say_who_needs_the_shim(profile: str, abi_shim: str) -> None:
    loaded = load_profile(profile)
    assert loaded.abi_shim == abi_shim
    assert (shim_of(loaded) is None) == (abi_shim == "off")


@pytest.mark.parametrize("content", [GO_MODULE, LARGE], ids=["small", "large"])
async def test_the_stored_module_is_shimmed_and_envoy_is_told(content: bytes, tmp_path: Path) -> None:
    rig = Rig(tmp_path, load_profile("higress"), content)
    converted = await rig.one(wasm())
    assert converted.module is not None
    assert converted.module.read_bytes() == shimmed(content) != content
    assert config(converted)["allow_on_headers_stop_iteration"] is True
    (event,) = rig.shims()
    assert event.data == {"abi": "0.2.100", "shim_abi": "0.2.1"}
    assert (event.image, event.resource, event.nonce) == (URL, "higress-system.plugin", "n")
    names = [e.event for e in rig.trace if e.event in ("agent.unpack", "agent.shim", "agent.rewrite")]
    assert names.index("agent.unpack") < names.index("agent.shim") < names.index("agent.rewrite")


async def test_path_and_checksum_are_those_of_the_module_as_it_was_served(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "shim", load_profile("higress"), GO_MODULE)
    plain = Rig(tmp_path / "plain", load_profile("istio-1.27"), GO_MODULE)
    with_shim, without = await rig.one(wasm()), await plain.one(wasm())
    assert with_shim.module is not None and without.module is not None
    assert with_shim.module.relative_to(rig.directory) == without.module.relative_to(plain.directory)
    assert with_shim.module.stem == rig.shelf.checksum(URL)
    folder = hashlib.sha256(b"oci://registry.example.com/team/plugin").hexdigest()
    assert with_shim.module.parent.name == folder
    pinned = await rig.one(wasm(name="a.other", sha256=rig.shelf.checksum(URL)))
    assert pinned.error is None and pinned.module == with_shim.module


async def test_a_module_from_the_cache_is_known_to_be_shimmed(tmp_path: Path) -> None:
    rig = Rig(tmp_path, load_profile("higress"), GO_MODULE)
    await rig.one(wasm())
    again = await rig.one(wasm(name="a.other", version="2"))
    assert config(again)["allow_on_headers_stop_iteration"] is True
    assert [event.resource for event in rig.shims()] == ["higress-system.plugin", "a.other"]
    assert rig.shelf.log.count(f"module {URL}") == 1
    # Purged and fetched anew, it is shimmed anew.
    assert again.module is not None
    assert rig.cache.purge(-1) == [again.module]
    assert not rig.cache.is_rewritten(again.module)
    once_more = await rig.one(wasm(version="3"))
    assert once_more.module == again.module and rig.cache.is_rewritten(again.module)


async def test_two_plugins_that_fetch_one_image_at_once_both_get_the_shim(tmp_path: Path) -> None:
    rig = Rig(tmp_path, load_profile("higress"), LARGE)
    results = await asyncio.gather(rig.one(wasm()), rig.one(wasm(name="a.other")))
    assert len(rig.shims()) == 2
    assert all(config(result)["allow_on_headers_stop_iteration"] is True for result in results)


@pytest.mark.parametrize(
    ("profile", "content"),
    [
        ("istio-1.27", GO_MODULE),
        ("higress", STOCK_MODULE),
        ("higress", plugin(abis=[])),
        ("higress", HEADER + b"\x07\x7f is malformed"),
    ],
    ids=["off", "not needed", "no ABI", "malformed"],
)
async def test_a_module_that_is_left_alone_keeps_its_bytes_and_its_configuration(
    profile: str, content: bytes, tmp_path: Path
) -> None:
    rig = Rig(tmp_path, load_profile(profile), content)
    converted = await rig.one(wasm())
    assert converted.module is not None
    assert converted.module.read_bytes() == content
    assert "allow_on_headers_stop_iteration" not in config(converted)
    assert rig.shims() == []


async def test_what_discovery_says_of_stop_iteration_stays(tmp_path: Path) -> None:
    rig = Rig(tmp_path, load_profile("higress"), GO_MODULE)
    converted = await rig.one(wasm(allow_on_headers_stop_iteration=False))
    assert config(converted)["allow_on_headers_stop_iteration"] is False


async def test_a_network_plugin_gets_it_too(tmp_path: Path) -> None:
    profile = load_profile("istio-1.27").model_copy(update={"abi_shim": "auto"})
    rig = Rig(tmp_path, profile, GO_MODULE)
    converted = await rig.one(wasm(type_url=NETWORK_WASM))
    assert config(converted)["allow_on_headers_stop_iteration"] is True
