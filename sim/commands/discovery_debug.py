"""A Discovery's debug address, asked for its proxies and what they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import click

from sim.commands.addresses import Address, address
from sim.commands.http_get import get_json
from sim.errors import EnvironmentProblem, InvalidInput
from sim.report.sync_status import ProxyStatus, read_syncz

_WHO = "Discovery's debug port"
_HINT = "start it with --debug-listen, and give that address"

discovery_debug_option = click.option(
    "--discovery-debug",
    type=address,
    metavar="HOST:PORT",
    envvar="ECDSIM_DISCOVERY_DEBUG",
    show_envvar=True,
    help="The --debug-listen of a Discovery, or an istiod's debug port.",
)


def proxies_of(discovery: Address) -> list[ProxyStatus]:
    """Who is connected. Raises EnvironmentProblem."""
    try:
        return read_syncz(get_json(discovery, "/debug/syncz", _WHO, _HINT))
    except ValueError as error:
        raise EnvironmentProblem(f"{discovery}/debug/syncz is not istiod's: {error}", hint=_HINT) from error


def config_dump_of(discovery: Address, proxy: str) -> Any:
    """What the proxy is sent, in Envoy's layout. Raises EnvironmentProblem."""
    return get_json(discovery, f"/debug/config_dump?proxyID={quote(proxy)}", _WHO, _HINT)


def chosen(proxies: Sequence[ProxyStatus], wanted: str | None, discovery: Address) -> list[ProxyStatus]:
    """Those that are meant by `name.namespace`, or by a name that is only in one namespace; None means all.

    Raises InvalidInput, naming those that exist.
    """
    if wanted is None:
        return list(proxies)
    found = [proxy for proxy in proxies if proxy.name == wanted]
    found = found or [proxy for proxy in proxies if proxy.name.rpartition(".")[0] == wanted]
    names = list(dict.fromkeys(proxy.name for proxy in found or proxies))
    if len(names) == 1 and found:
        return found
    if not names:
        raise InvalidInput(
            f"no proxy is connected to the Discovery at {discovery}", hint="start an agent and its Envoy"
        )
    what = f"{wanted!r} is in several namespaces" if found else f"there is no proxy {wanted!r}"
    raise InvalidInput(f"{what} at {discovery}", hint=f"name one of {', '.join(names)}")
