"""`ecdsim proxy-config`: the configuration that a proxy has, or is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from sim.commands.aliases import AliasedGroup
from sim.commands.dump_source import reading_dump
from sim.commands.output import output_choice, output_option, reading_may_end, write_data

if TYPE_CHECKING:
    from sim.report.columns import Table
    from sim.report.proxy_config import ConfigDump


@click.group("proxy-config", cls=AliasedGroup)
def proxy_config() -> None:
    """The configuration that a proxy has, or is sent.

    As istioctl proxy-config shows it. It is read from an Envoy (--admin), from a file or a run directory (-f), or
    from a Discovery (--discovery-debug); where there are several proxies, PROXY names one. A Discovery tells what it
    sends, before the agent: there the images' URLs stand, in Envoy local files. -o json and yaml are the resources
    as they stand in the dump, in Envoy's or istiod's spelling of the names.
    """


@click.command("ecds")
@reading_dump
@output_choice("table", "wide", "json", "yaml")
def ecds(dump: ConfigDump, output: str) -> None:
    """Extension configurations: a plugin, or what took its place after a failed pull.

    -o wide adds where the code is, the checksum that it must have, the version of the resource and when it came.
    """
    from sim.report.proxy_config import ecds_table

    section = dump.ecds()
    _show(section, lambda: ecds_table(section, wide=output == "wide"), output)


@click.command("listeners")
@reading_dump
@click.option("--address", metavar="ADDRESS", help="Only those that listen on this address.")
@click.option("--port", type=int, metavar="PORT", help="Only those that listen on this port.")
@click.option("--type", "kind", metavar="TYPE", help="Only those of this type: HTTP, TCP, HTTP+TCP or UNKNOWN.")
@output_option
def listeners(dump: ConfigDump, address: str | None, port: int | None, kind: str | None, output: str) -> None:
    """Listeners, by filter chain."""
    from sim.report.proxy_config import ListenerFilter, listeners_table

    meant = list(filter(ListenerFilter(address, port, kind).takes, dump.listeners()))
    _show(meant, lambda: listeners_table(meant), output)


@click.command("routes")
@reading_dump
@click.option("--name", metavar="NAME", help="Only the route configuration of this name.")
@output_option
def routes(dump: ConfigDump, name: str | None, output: str) -> None:
    """Routes, by virtual host."""
    from sim.report.proxy_config import routes_table

    meant = [found for found in dump.routes() if name in (None, found.get("name"))]
    _show(meant, lambda: routes_table(meant), output)


@click.command("clusters")
@reading_dump
@click.option("--fqdn", metavar="TEXT", help="Only those whose host has this in it.")
@click.option("--port", type=int, metavar="PORT", help="Only those of this port.")
@click.option("--subset", metavar="TEXT", help="Only those whose subset has this in it.")
@click.option("--direction", metavar="DIRECTION", help="Only those of this direction: inbound or outbound.")
@output_option
def clusters(
    dump: ConfigDump, fqdn: str | None, port: int | None, subset: str | None, direction: str | None, output: str
) -> None:
    """Clusters, by host."""
    from sim.report.proxy_config import ClusterFilter, clusters_table

    meant = list(filter(ClusterFilter(fqdn, port, subset, direction).takes, dump.clusters()))
    _show(meant, lambda: clusters_table(meant), output)


for command, aliases in (
    (clusters, ["cluster", "c"]),
    (ecds, ["ec"]),
    (listeners, ["listener", "l"]),
    (routes, ["route", "r"]),
):
    proxy_config.add_aliased(command, aliases)


def _show(data: Any, table: Callable[[], Table], output: str) -> None:
    with reading_may_end():
        if output in ("json", "yaml"):
            write_data(data, output)
        else:
            click.echo(str(table()))
