"""The tables of host calls, held against the Envoy that is here: it names what a module imports in vain."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from sim.envoy import EnvoyBinary, probe_envoy
from sim.plugin.configuration import Configuration
from sim.plugin.trial_bootstrap import Surroundings, trial_bootstrap
from sim.wasm.abi import STOCK_ABIS
from sim.wasm.host_calls import NEWEST_ENVOY, OLDEST_ENVOY, host_calls, release
from tests.needs import needed_envoy
from tests.wasm_modules import plugin

pytestmark = pytest.mark.e2e

#: What other hosts have, and this one has not.
ELSEWHERE = (
    "env.abort",
    "env.proxy_get_upstream_hosts",
    "env.proxy_redis_call",
    "env.proxy_redis_init",
    "env.proxy_set_upstream_override_host",
    "wasi_snapshot_preview1.proc_raise",
)


async def complaint(binary: EnvoyBinary, folder: Path, wanted: str, abi: str) -> str:
    """What Envoy says of a module that imports one function, with a type that hardly any host call has."""
    module, name = wanted.split(".")
    file = folder / f"{abi}-{wanted}.wasm"
    file.write_bytes(plugin(abis=[abi], imports=[(module, name)]))
    bootstrap = trial_bootstrap(file, 0, 1, Configuration(), Surroundings(), allow_stop_iteration=False)
    config = file.with_suffix(".json")
    config.write_text(json.dumps(bootstrap))
    process = await asyncio.create_subprocess_exec(
        *(binary.path, "--mode", "validate", "-c", str(config), "--disable-hot-restart"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, stderr = await process.communicate()
    found = re.search(r"due to (a missing import|an import type mismatch): ([\w.]+)", stderr.decode())
    assert found is None or found[2] == wanted, stderr.decode()
    return found[1] if found is not None else ("" if process.returncode == 0 else stderr.decode())


@pytest.mark.parametrize("abi", STOCK_ABIS)
async def test_envoy_has_every_call_of_the_table_and_none_of_other_hosts(abi: str, tmp_path: Path) -> None:
    binary = await probe_envoy(needed_envoy("THE TABLES OF HOST CALLS ARE NOT TRIED"))
    here = release(binary.version)
    if not OLDEST_ENVOY <= here <= NEWEST_ENVOY:
        pytest.skip(f"THE TABLES OF HOST CALLS TELL NOTHING OF ENVOY {binary.version}")
    offered = host_calls(abi, here)
    # The calls that all share are the same code; one ABI's worth of trials is enough for them.
    shared = frozenset.intersection(*(host_calls(each, here) for each in STOCK_ABIS))
    every = frozenset.union(*(host_calls(each) for each in STOCK_ABIS))
    tried = sorted((every | set(ELSEWHERE)) - (shared if abi != STOCK_ABIS[-1] else frozenset()))
    at_once = asyncio.Semaphore(4)

    async def asked(name: str) -> tuple[str, bool]:
        async with at_once:
            said = await complaint(binary, tmp_path, name, abi)
        assert said in ("", "a missing import", "an import type mismatch"), said
        return name, said != "a missing import"

    present = dict(await asyncio.gather(*map(asked, tried)))
    assert {name for name, there in present.items() if there} == {name for name in tried if name in offered}
