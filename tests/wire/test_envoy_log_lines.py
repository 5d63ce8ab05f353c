"""How Envoy's log is read, told by a program in its place."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sim.envoy import BootstrapOptions, EnvoyBinary, EnvoyOptions, envoy
from sim.model import gateway_node
from sim.trace import Trace

PROGRAM = r"""#!/bin/sh
while [ "$1" != --admin-address-path ]; do shift; done
echo 127.0.0.1:1 > "$2"
say() { printf '1795253506.123456789 %s %b\n' "$$" "$1" >&2; }
say 'info main starting main dispatch loop\n  of two lines'
say 'debug filter Updated filter config team-a.first accepted, posting to workers'
say 'error wasm wasm log: it has to be\n  a list\n\nof strings'
say 'debug wasm Base Wasm created 1 now active\n  of two lines'
say 'error wasm wasm log: the last\nof all'
exec sleep 60
"""


async def test_all_lines_of_a_message_are_one_event_also_of_the_last_one(tmp_path: Path) -> None:
    program = tmp_path / "envoy"
    program.write_text(PROGRAM, encoding="utf-8")
    program.chmod(0o755)
    how = BootstrapOptions(node=gateway_node(), xds_address="unix:/x", delta=True, upstream_port=1)
    trace = Trace()
    async with (
        envoy(EnvoyOptions(EnvoyBinary(program, "1.40.0"), how, tmp_path, workers=1), trace),
        asyncio.timeout(30),
    ):
        await trace.wait_for(lambda e: "last" in e.data.get("text", ""))
    told = [(e.event, e.plugin, e.data.get("text")) for e in trace if e.event in ("envoy.log", "envoy.compile")]
    assert told == [
        ("envoy.log", "team-a/first", "wasm log: it has to be\n  a list\n\nof strings"),
        ("envoy.compile", "team-a/first", None),
        ("envoy.log", "team-a/first", "wasm log: the last\nof all"),
    ]
