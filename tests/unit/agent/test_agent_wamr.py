"""Modules that are compiled for WAMR, as the agent of the fork was seen to take them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.agent.wamr import is_compiled_for_wamr
from tests.unit.agent.resources import MODULE, URL, vm_config, wasm
from tests.unit.agent.test_agent_convert import Rig

CONTENT = bytes(8)


def section(name: str, content: bytes = CONTENT) -> bytes:
    return bytes([0, 1 + len(name) + len(content), len(name)]) + name.encode() + content


@pytest.mark.parametrize(
    ("sections", "compiled"),
    [
        ([], False),
        (["wamr-aot"], True),
        (["other", "wamr-aot"], True),
        (["wamr-aotx"], False),
        (["wamr-aot-2.0.0"], True),
        (["wamr-aot-v2.0.0"], True),
        (["wamr-aot-2"], True),
        (["wamr-aot-1.9"], True),
        (["wamr-aot-2.0.9-rc1"], True),
        (["wamr-aot-2.1.0-rc1"], True),
        (["wamr-aot-2.1.0"], False),
        (["wamr-aot-3.0"], False),
        (["wamr-aot-x"], False),
        (["wamr-aot-"], False),
        (["wamr-aot-3.0", "wamr-aot"], False),
    ],
    ids=str,
)
def test_a_custom_section_tells_for_which_machine_a_module_is_compiled(
    tmp_path: Path, sections: list[str], compiled: bool
) -> None:
    path = tmp_path / "module.wasm"
    path.write_bytes(MODULE + b"".join(map(section, sections)))
    assert is_compiled_for_wamr(path) is compiled


@pytest.mark.parametrize(
    "module",
    [
        MODULE + section("wamr-aot", b""),
        MODULE + section("wamr-aot") + b"\x0a\x05garba",
        MODULE + b"\0\x09\x08wamr-aot"[:-3],
    ],
    ids=["a section without content", "a broken module", "a section that is cut"],
)
def test_what_the_fork_cannot_see_does_not_count(tmp_path: Path, module: bytes) -> None:
    path = tmp_path / "module.wasm"
    path.write_bytes(module)
    assert not is_compiled_for_wamr(path)


def test_a_file_that_is_gone_is_not_compiled(tmp_path: Path) -> None:
    assert not is_compiled_for_wamr(tmp_path / "gone.wasm")


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("higress-1.19", {"runtime": "envoy.wasm.runtime.wamr", "allow_precompiled": True}),
        ("istio-1.27", {"runtime": "envoy.wasm.runtime.v8"}),
    ],
)
async def test_the_fork_runs_such_a_module_on_wamr(tmp_path: Path, profile: str, expected: dict[str, object]) -> None:
    rig = Rig(tmp_path, profile)
    rig.shelf.modules[URL] = MODULE + section("wamr-aot")
    for version in ("1", "2"):
        result = await rig.one(wasm(version=version))
        code = {"local": {"filename": str(result.module)}}
        assert vm_config(result.resource) == {**expected, "code": code}
