"""The real agent's known bugs, reproduced, and each of them fixed."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from sim.agent import AgentOptions
from sim.agent.ecds import retry_pauses_s
from sim.errors import InvalidInput
from sim.model import ECDS, HTTP_RBAC, LDS
from sim.profiles import load_profile, profile_names
from sim.xds import Variant
from tests.unit.agent.resources import NAME, module, wasm
from tests.wire.agent_rig import DiscoveryStream, EnvoyStream, Rig, Told, agent_rig, request, response, xds

OLD, SLOW = (f"oci://registry.example.com/team/plugin:{tag}" for tag in ("2", "5"))
ALLOW_ALL: dict[str, Any] = {"@type": HTTP_RBAC}
both_variants = pytest.mark.parametrize("variant", list(Variant), ids=str)


@pytest.mark.parametrize("profile", profile_names())
def test_a_bug_that_the_profile_does_not_list_can_not_be_fixed(profile: str) -> None:
    loaded = load_profile(profile)
    AgentOptions(loaded, "", "", Path(), fixed=frozenset(loaded.bugs))
    with pytest.raises(InvalidInput, match="no bug named typo") as refused:
        AgentOptions(loaded, "", "", Path(), fixed=frozenset({"typo", *loaded.bugs}))
    assert "stale-overtakes-new" in (refused.value.hint or "")


async def nothing_but_lds_comes(envoy: EnvoyStream, upstream: DiscoveryStream) -> None:
    """Whatever was due to Envoy before has been delivered, so that a listener is the next that comes."""
    await upstream.send(response(upstream.variant, LDS, nonce="marker"))
    assert (await envoy.told()).nonce == "marker"


async def delivered(rig: Rig, upstream: DiscoveryStream, envoy: EnvoyStream, number: int, *urls: str) -> Told:
    """Push plugins and wait for them."""
    await upstream.send(pushed(upstream.variant, number, *urls))
    return await envoy.told()


def pushed(variant: Variant, number: int, *urls: str, policy: str = "") -> bytes:
    """Response number `number`: a plugin for each URL, called NAME, NAME2 and so on."""
    names = [NAME if index == 0 else f"{NAME}{index + 1}" for index in range(len(urls))]
    resources = {
        name: wasm(url, name=name, version=str(number), policy=policy) for name, url in zip(names, urls, strict=True)
    }
    return response(variant, ECDS, resources, version=f"v{number}", nonce=f"n{number}")


# -- stale-overtakes-new --------------------------------------------------------------------------------------------


@both_variants
@pytest.mark.parametrize("fixed", [False, True])
async def test_a_slow_pull_that_was_overtaken_wins_unless_that_is_fixed(
    tmp_path: Path, variant: Variant, fixed: bool
) -> None:
    async with agent_rig(tmp_path, "istio-1.27", *["stale-overtakes-new"] * fixed) as rig:
        rig.shelf.modules |= {OLD: module(2), SLOW: module(5)}
        envoy, upstream = await rig.connect(variant)
        first = await delivered(rig, upstream, envoy, 1, OLD)
        gate = rig.shelf.gate("manifest", SLOW)
        await upstream.send(pushed(variant, 2, SLOW))
        await rig.trace.wait_for(lambda e: e.event == "agent.fetch" and e.image == SLOW)
        third = await delivered(rig, upstream, envoy, 3, OLD)
        assert (third.nonce, third.file(NAME)) == ("n3", first.file(NAME))
        gate.set()
        if fixed:
            told = await rig.trace.wait_for(lambda e: e.event == "agent.overtaken")
            assert (told.nonce, told.data["resources"]) == ("n2", [NAME])
        else:
            last = await envoy.told()
            assert last.nonce == "n2"
            assert (last.file(NAME) or Path()).read_bytes() == module(5)
        await nothing_but_lds_comes(envoy, upstream)


@both_variants
async def test_what_was_not_overtaken_in_a_late_response_is_delivered(tmp_path: Path, variant: Variant) -> None:
    async with agent_rig(tmp_path, "istio-1.27", "stale-overtakes-new") as rig:
        rig.shelf.modules |= {OLD: module(2), SLOW: module(5)}
        envoy, upstream = await rig.connect(variant)
        gate = rig.shelf.gate("manifest", SLOW)
        await upstream.send(pushed(variant, 1, OLD, SLOW))
        await rig.trace.wait_for(lambda e: e.event == "agent.fetch" and e.image == SLOW)
        assert (await delivered(rig, upstream, envoy, 2, OLD)).nonce == "n2"
        gate.set()
        late = await envoy.told()
        assert (late.nonce, list(late.resources)) == ("n1", [f"{NAME}2"])


@both_variants
async def test_a_response_that_was_not_overtaken_yet_is_delivered_first(tmp_path: Path, variant: Variant) -> None:
    async with agent_rig(tmp_path, "istio-1.27", "stale-overtakes-new") as rig:
        rig.shelf.modules |= {OLD: module(2), SLOW: module(5)}
        envoy, upstream = await rig.connect(variant)
        gate = rig.shelf.gate("manifest", SLOW)
        await upstream.send(pushed(variant, 1, OLD))
        await upstream.send(pushed(variant, 2, SLOW))
        assert (await envoy.told()).nonce == "n1"
        gate.set()
        assert (await envoy.told()).nonce == "n2"


# -- purge-in-use ---------------------------------------------------------------------------------------------------


@both_variants
@pytest.mark.parametrize("fixed", [False, True])
async def test_a_module_in_use_is_purged_unless_that_is_fixed(tmp_path: Path, variant: Variant, fixed: bool) -> None:
    async with agent_rig(tmp_path, "istio-1.27", *["purge-in-use"] * fixed) as rig:
        rig.shelf.modules[OLD] = module(2)
        envoy, upstream = await rig.connect(variant)
        file = (await delivered(rig, upstream, envoy, 1, OLD)).file(NAME)
        assert file is not None
        rig.clock.advance(61)
        rig.agent.purge()
        assert (file in rig.files()) == fixed
        assert [event.data["file"] for event in rig.trace if event.event == "agent.purge"] == [str(file)] * (not fixed)
        # Envoy does not forget its modules because a stream broke.
        envoy.cancel()
        await upstream.closed.wait()
        rig.agent.purge()
        assert (file in rig.files()) == fixed


@both_variants
@pytest.mark.parametrize("rejected", [False, True])
async def test_the_module_before_is_kept_until_envoy_has_taken_the_next(
    tmp_path: Path, variant: Variant, rejected: bool
) -> None:
    async with agent_rig(tmp_path, "istio-1.27", "purge-in-use") as rig:
        rig.shelf.modules |= {OLD: module(2), SLOW: module(5)}
        envoy, upstream = await rig.connect(variant)
        await envoy.send(request(variant, ECDS, [NAME]))
        await upstream.receive()
        before = (await delivered(rig, upstream, envoy, 1, OLD)).file(NAME)
        await envoy.send(request(variant, ECDS, [NAME], nonce="n1", version_info="v1"))
        after = (await delivered(rig, upstream, envoy, 2, SLOW)).file(NAME)
        rig.clock.advance(61)
        rig.agent.purge()
        assert rig.files() == {before, after}
        answer = {"error": "not wasm"} if rejected else {}
        await envoy.send(request(variant, ECDS, [NAME], nonce="n2", version_info="v1", **answer))
        await rig.trace.wait_for(lambda e: e.part == "envoy" and e.nonce == "n2")
        rig.agent.purge()
        assert rig.files() == {before if rejected else after}


# -- failed-always --------------------------------------------------------------------------------------------------


async def tried_again(rig: Rig, times: int) -> None:
    await rig.trace.wait_for(lambda e: e.event == "agent.retry" and e.data["attempt"] > times)


@both_variants
async def test_a_failed_pull_stays_failed_although_the_registry_is_back(tmp_path: Path, variant: Variant) -> None:
    async with agent_rig(tmp_path) as rig:
        rig.shelf.modules[OLD] = module(2)
        envoy, upstream = await rig.connect(variant)
        await upstream.send(pushed(variant, 1, OLD, policy="Always"))
        first = await envoy.told()
        del rig.shelf.modules[OLD]
        await upstream.send(pushed(variant, 2, OLD, policy="Always"))
        assert (await envoy.told()).resources[NAME]["typed_config"] == ALLOW_ALL
        rig.shelf.modules[OLD] = module(3)
        await nothing_but_lds_comes(envoy, upstream)
        # The same once more gives what was there before, and nobody asks the registry.
        rig.shelf.log.clear()
        await upstream.send(pushed(variant, 2, OLD, policy="Always"))
        assert (await envoy.told()).file(NAME) == first.file(NAME)
        assert rig.shelf.log == []
        # Only a changed spec helps.
        await upstream.send(pushed(variant, 3, OLD, policy="Always"))
        assert ((await envoy.told()).file(NAME) or Path()).read_bytes() == module(3)


@both_variants
async def test_a_failed_pull_is_tried_again_until_it_succeeds_if_that_is_fixed(
    tmp_path: Path, variant: Variant
) -> None:
    async with agent_rig(tmp_path, "istio-1.27", "failed-always") as rig:
        rig.shelf.modules[OLD] = module(2)
        envoy, upstream = await rig.connect(variant)
        await delivered(rig, upstream, envoy, 1, OLD)
        await upstream.send(pushed(variant, 2, OLD, SLOW, policy="Always"))
        failed = await envoy.told()
        assert failed.file(NAME) is not None
        assert failed.resources[f"{NAME}2"]["typed_config"] == ALLOW_ALL
        await tried_again(rig, 3)
        rig.shelf.modules[SLOW] = module(5)
        mended = await envoy.told()
        # Under the response's own nonce and version, and only what was missing.
        assert (mended.nonce, mended.version, list(mended.resources)) == ("n2", "v2", [f"{NAME}2"])
        assert (mended.file(f"{NAME}2") or Path()).read_bytes() == module(5)
        await nothing_but_lds_comes(envoy, upstream)
        assert len([event for event in rig.trace if event.event == "agent.replace"]) == 1


@both_variants
async def test_a_newer_response_ends_the_tries(tmp_path: Path, variant: Variant) -> None:
    async with agent_rig(tmp_path, "istio-1.27", "failed-always") as rig:
        rig.shelf.modules[OLD] = module(2)
        envoy, upstream = await rig.connect(variant)
        await delivered(rig, upstream, envoy, 1, SLOW)
        await tried_again(rig, 1)
        assert (await delivered(rig, upstream, envoy, 2, OLD)).file(NAME) is not None
        rig.shelf.modules[SLOW] = module(5)
        await nothing_but_lds_comes(envoy, upstream)


@both_variants
async def test_a_try_that_a_newer_response_overtakes_comes_to_nothing(tmp_path: Path, variant: Variant) -> None:
    async with agent_rig(tmp_path, "istio-1.27", "failed-always") as rig:
        rig.shelf.modules[OLD] = module(2)
        envoy, upstream = await rig.connect(variant)
        await delivered(rig, upstream, envoy, 1, SLOW)
        gate = rig.shelf.gate("manifest", SLOW)
        rig.shelf.modules[SLOW] = module(5)
        so_far = len(rig.trace.events)
        await rig.trace.wait_for(lambda e: e.event == "agent.fetch" and e.span == "started", since=so_far)
        assert (await delivered(rig, upstream, envoy, 2, OLD)).nonce == "n2"
        gate.set()
        await rig.trace.wait_for(lambda e: e.event == "agent.rewrite" and e.image == SLOW and e.span == "completed")
        await nothing_but_lds_comes(envoy, upstream)


@both_variants
async def test_a_refused_response_is_delivered_whole_when_its_pulls_succeed(tmp_path: Path, variant: Variant) -> None:
    async with agent_rig(tmp_path, "higress", "failed-always") as rig:
        rig.shelf.modules[OLD] = module(2)
        envoy, upstream = await rig.connect(variant)
        await envoy.send(request(variant, ECDS, [NAME, f"{NAME}2"]))
        await upstream.receive()
        await upstream.send(pushed(variant, 1, OLD, SLOW))
        refusal = xds(
            "DiscoveryRequest" if variant is Variant.SOTW else "DeltaDiscoveryRequest", await upstream.receive()
        )
        assert refusal.response_nonce == "n1"
        await tried_again(rig, 2)
        rig.shelf.modules[SLOW] = module(5)
        told = await envoy.told()
        assert (told.nonce, list(told.resources)) == ("n1", [NAME, f"{NAME}2"])


async def test_what_no_pull_can_mend_is_not_tried_again(tmp_path: Path) -> None:
    async with agent_rig(tmp_path, "istio-1.27", "failed-always") as rig:
        envoy, upstream = await rig.connect(Variant.DELTA)
        no_secret = wasm(OLD, environment={"ISTIO_META_WASM_IMAGE_PULL_SECRET": ""})
        await upstream.send(response(Variant.DELTA, ECDS, {NAME: no_secret}))
        assert (await envoy.told()).resources[NAME]["typed_config"] == ALLOW_ALL
        await delivered(rig, upstream, envoy, 2, OLD)
        await tried_again(rig, 2)
        assert {event.nonce for event in rig.trace if event.event == "agent.retry"} == {"n2"}


def test_the_pauses_grow_from_a_second_to_a_minute() -> None:
    assert list(islice(retry_pauses_s(), 9)) == [1, 2, 4, 8, 16, 32, 60, 60, 60]
