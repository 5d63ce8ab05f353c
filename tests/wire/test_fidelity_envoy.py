"""How Envoy is started, told by a program in its place."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from sim.envoy import BootstrapOptions, EnvoyBinary, EnvoyOptions, envoy
from sim.model import gateway_node
from sim.trace import Trace

#: Writes down its arguments, says where its admin port would be, and waits to be ended.
PROGRAM = """#!/bin/sh
printf '%s\\n' "$@" > "$0.arguments"
while [ "$1" != --admin-address-path ]; do shift; done
echo 127.0.0.1:1 > "$2"
exec sleep 60
"""


async def test_envoy_drains_as_pilot_agent_has_it(tmp_path: Path) -> None:
    program = tmp_path / "envoy"
    program.write_text(PROGRAM, encoding="utf-8")
    program.chmod(0o755)
    how = BootstrapOptions(node=gateway_node(), xds_address="unix:/x", delta=True, upstream_port=1)
    async with envoy(EnvoyOptions(EnvoyBinary(program, "1.0.0"), how, tmp_path, workers=3), Trace()):
        pass
    arguments = (tmp_path / "envoy.arguments").read_text(encoding="utf-8").splitlines()
    given = dict(pairwise(arguments))
    assert (given["--drain-time-s"], given["--drain-strategy"]) == ("45", "immediate")
    assert given["--concurrency"] == "3"
    assert "--disable-hot-restart" in arguments
