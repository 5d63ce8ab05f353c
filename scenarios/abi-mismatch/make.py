"""Makes marker.wasm: `python make.py` writes it beside this file."""

from __future__ import annotations

from pathlib import Path

from sim.wasm import bundled, stamp
from sim.wasm.module import rename_export


def module() -> bytes:
    """The bundled marker, version 1.0.0, with the ABI that modules of Higress' Go SDK export."""
    stamped = stamp(bundled("marker").module, "1.0.0")
    return rename_export(stamped, "proxy_abi_version_0_2_1", "proxy_abi_version_0_2_100")


if __name__ == "__main__":
    (Path(__file__).parent / "marker.wasm").write_bytes(module())
