"""V8 is made ready before the workers where they would die otherwise, and nothing of that shows in the trace."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from sim.envoy import wasm_support
from sim.envoy.wasm_support import needs_early_v8, with_early_v8
from sim.wasm import parse


@pytest.mark.parametrize(
    ("version", "flags", "needed"),
    [
        ("1.36.4", "flags\t\t: fpu pku ospke avx", True),
        ("1.37.0", "flags\t\t: fpu pku ospke avx", True),
        ("1.40.0", "flags\t\t: fpu pku ospke avx", False),
        ("1.36.4", "flags\t\t: fpu avx", False),
        # The processor has them, the kernel does not use them.
        ("1.36.4", "flags\t\t: fpu pku avx", False),
        ("1.36.4", "", False),
    ],
)
def test_only_old_envoys_on_processors_with_protection_keys_need_it(
    version: str, flags: str, needed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\n{flags}\nbugs\t\t: none\n")
    monkeypatch.setattr(wasm_support, "_CPUINFO", cpuinfo)
    assert needs_early_v8(version) is needed


def test_a_machine_that_does_not_tell_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasm_support, "_CPUINFO", tmp_path / "nothing")
    assert not needs_early_v8("1.36.4")


def test_the_bootstrap_keeps_what_it_had_and_loads_a_module_that_is_one() -> None:
    made = with_early_v8({"admin": {"address": {}}})
    assert made["admin"] == {"address": {}}
    (extension,) = made["bootstrap_extensions"]
    code = extension["typed_config"]["config"]["vm_config"]["code"]["local"]["inline_bytes"]
    exports = {export.name for export in parse(base64.b64decode(code)).exports}
    assert exports == {"memory", "malloc", "proxy_abi_version_0_2_1"}
