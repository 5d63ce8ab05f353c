"""`ecdsim proxy-status`: what each proxy was sent and acknowledged."""

from __future__ import annotations

import click

from sim.commands.addresses import Address
from sim.commands.discovery_debug import discovery_debug_option
from sim.commands.output import output_option, reading_may_end, write_data
from sim.errors import InvalidInput
from sim.model import short_name


@click.command("proxy-status")
@click.argument("proxy", required=False)
@discovery_debug_option
@output_option
def proxy_status(proxy: str | None, discovery_debug: Address | None, output: str) -> None:
    """What each proxy was sent and acknowledged.

    As istioctl proxy-status says it, of every proxy or of PROXY alone, by the word of a Discovery.
    A type is SYNCED when the newest response was acknowledged, STALE while it was not (an agent that still pulls a
    module), ERROR when it was refused (why is on stderr), NOT SENT when nothing was sent, IGNORED when the proxy does
    not watch it; in brackets, how long ago the newest response went out.
    """
    from sim.commands.discovery_debug import chosen, proxies_of
    from sim.report.sync_status import table

    if discovery_debug is None:
        raise InvalidInput(
            "it is not said which Discovery to ask",
            hint="add --discovery-debug HOST:PORT, or set ECDSIM_DISCOVERY_DEBUG",
        )
    proxies = chosen(proxies_of(discovery_debug), proxy, discovery_debug)
    istiod = str(discovery_debug)
    if not proxies:
        click.echo(f"no proxy is connected to the Discovery at {istiod}", err=True)
    with reading_may_end():
        if output != "table":
            write_data([each.as_json(istiod) for each in proxies], output)
        elif proxies:
            click.echo(str(table(proxies, istiod)))
    if output == "table":
        for each in proxies:
            for type_url, status in each.types.items():
                if status.error:
                    click.echo(f"{each.name} refused {short_name(type_url)}: {status.error}", err=True)
