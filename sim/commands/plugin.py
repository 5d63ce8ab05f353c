"""`ecdsim plugin`: build, push, pull, list, inspect, try and measure one's own plugin."""

from __future__ import annotations

import click

from sim.commands.plugin_bench import bench
from sim.commands.plugin_build import build
from sim.commands.plugin_images import ls, pull, push
from sim.commands.plugin_inspect import inspect
from sim.commands.plugin_test import test


@click.group()
def plugin() -> None:
    """Build, pack, inspect, try and measure a Wasm plugin of your own."""


for command in (build, inspect, test, bench, push, pull, ls):
    plugin.add_command(command)
