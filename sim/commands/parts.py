"""Each part by itself, so that any of them can be swapped for the real one: registry, core, discovery, agent."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sim.commands.addresses import (
    UNIX,
    Address,
    UnixAddress,
    address,
    check_free,
    envoy_listen_address,
    ip_address,
    listen_address,
    socket_removed,
)
from sim.commands.values import duration_s, names, positive_duration_s
from sim.commands.values import labels as parse_labels
from sim.errors import EnvironmentProblem, InvalidInput

if TYPE_CHECKING:
    from sim.commands.alone import Ready
    from sim.trace import Trace

listen_option = click.option(
    "--listen", required=True, type=listen_address, metavar="HOST:PORT", help="Where to listen; port 0 is any free one."
)
profile_option = click.option(
    "--profile",
    metavar="NAME|FILE",
    help="Which real system is reproduced.  [default: higress]",
)


@click.command()
@listen_option
@click.option(
    "--data-dir", required=True, type=click.Path(path_type=Path), help="Where images are kept; made if need be."
)
def registry(listen: Address, data_dir: Path) -> int:
    """An OCI registry by itself.

    It speaks the distribution specification over plain HTTP, takes anybody's pushes, and keeps what it has in
    --data-dir. It is ready when it prints a line of JSON on stdout; SIGINT and SIGTERM end it, with 0.
    """
    from sim.commands.alone import run_alone
    from sim.oci.registry import Registry

    check_free("registry", listen)
    _writable(data_dir, "--data-dir")

    @asynccontextmanager
    async def start(trace: Trace) -> AsyncIterator[Ready]:
        async with Registry(data_dir, trace, listen.host, listen.port) as running:
            yield {"listen": str(Address(listen.host, running.port))}

    return run_alone("registry", start)


@click.command()
@listen_option
@click.option(
    "--manifests",
    required=True,
    type=click.Path(path_type=Path),
    help="A folder of .yaml, .yml and .json files with WasmPlugins, Ingresses, Services and Secrets.",
)
@click.option("--watch", is_flag=True, help="Apply what is saved, changed or removed there later.")
@click.option(
    "--gateway-port", type=click.IntRange(1, 65535), default=80, show_default=True, help="Where the gateway listens."
)
@click.option(
    "--upstream",
    type=ip_address,
    metavar="IP:PORT",
    default="127.0.0.1:80",
    show_default=True,
    help="Who answers for every service; an IP address, not a name.",
)
def core(listen: Address, manifests: Path, watch: bool, gateway_port: int, upstream: Address) -> int:
    """Core by itself: converts the manifests of a folder and serves them as MCP over xDS.

    Whatever reads Istio's MCP over xDS can be pointed at it: ecdsim discovery, or an istiod (configSources).
    It is ready when it prints a line of JSON on stdout; SIGINT and SIGTERM end it, with 0.
    """
    from sim.commands.alone import Log, run_alone
    from sim.commands.manifest_folder import ManifestFolder
    from sim.core import CoreOptions, Store
    from sim.core.mcp import core as core_part

    if not manifests.is_dir():
        what = "is no folder" if manifests.exists() else "does not exist"
        raise InvalidInput(f"--manifests: {manifests} {what}", hint="name the folder that holds the .yaml files")
    check_free("core", listen)
    options = CoreOptions(gateway_port=gateway_port, upstream=(upstream.host, upstream.port))
    store = Store()
    folder = ManifestFolder(manifests, store)
    # Before anybody can ask: a client that comes back would take an empty answer for a deletion.
    folder.load(may_be_empty=watch)

    @asynccontextmanager
    async def start(trace: Trace) -> AsyncIterator[Ready]:
        async with core_part(options, trace, listen=str(listen), store=store) as part:
            watching = asyncio.create_task(folder.watch(Log("core").problem), name="watch") if watch else None
            try:
                yield {"listen": part.address}
            finally:
                if watching is not None:
                    watching.cancel()
                    await asyncio.gather(watching, return_exceptions=True)

    return run_alone("core", start)


@click.command()
@click.option(
    "--mcp", required=True, type=address, metavar="HOST:PORT", help="Core's address, or that of another MCP server."
)
@listen_option
@profile_option
@click.option(
    "--debounce-after",
    type=duration_s,
    metavar="DURATION",
    default="100ms",
    show_default=True,
    envvar="PILOT_DEBOUNCE_AFTER",
    show_envvar=True,
    help="So much quiet is waited for before a push.",
)
@click.option(
    "--debounce-max",
    type=duration_s,
    metavar="DURATION",
    default="10s",
    show_default=True,
    envvar="PILOT_DEBOUNCE_MAX",
    show_envvar=True,
    help="But at most so long.",
)
def discovery(mcp: Address, listen: Address, profile: str | None, debounce_after: float, debounce_max: float) -> int:
    """Discovery by itself: reads MCP over xDS, debounces, and serves Envoys and agents by ADS.

    Like istiod it is ready, and listens, only once its MCP server has answered everything; then it prints a line of
    JSON on stdout. SIGINT and SIGTERM end it, with 0.
    """
    from sim.clock import precise_loop
    from sim.commands.alone import Log, reminding, run_alone
    from sim.discovery import DebounceTimes, DiscoveryOptions
    from sim.discovery import discovery as discovery_part
    from sim.profiles import DEFAULT_PROFILE, load_profile

    options = DiscoveryOptions(
        profile=load_profile(profile or DEFAULT_PROFILE),
        mcp_address=str(mcp),
        listen=str(listen),
        debounce=DebounceTimes(after_s=debounce_after, max_s=debounce_max),
    )
    check_free("discovery", listen)

    @asynccontextmanager
    async def start(trace: Trace) -> AsyncIterator[Ready]:
        async with AsyncExitStack() as stack:
            async with reminding(Log("discovery"), f"waiting for the MCP server at {mcp}"):
                part = await stack.enter_async_context(discovery_part(options, trace))
            yield {"listen": part.address}

    return run_alone("discovery", start, loop_factory=precise_loop)


@click.command()
@click.option(
    "--discovery",
    required=True,
    type=address,
    metavar="HOST:PORT",
    help="Discovery's address, or an istiod's plain-text port.",
)
@click.option(
    "--listen",
    required=True,
    type=envoy_listen_address,
    metavar="unix:PATH|IP:PORT",
    help="Where Envoy finds its xDS server.",
)
@click.option(
    "--data-dir", required=True, type=click.Path(path_type=Path), help="Where modules are kept; made if need be."
)
@profile_option
@click.option(
    "--insecure-registries",
    type=names,
    metavar="A,B",
    default="",
    envvar="WASM_INSECURE_REGISTRIES",
    show_envvar=True,
    help="Registries whose certificate is not verified; * is every one.",
)
@click.option(
    "--module-expiry",
    type=duration_s,
    metavar="DURATION",
    default="24h",
    show_default=True,
    envvar="WASM_MODULE_EXPIRY",
    show_envvar=True,
    help="A module that was not asked for this long is purged.",
)
@click.option(
    "--purge-interval",
    type=positive_duration_s,
    metavar="DURATION",
    default="1h",
    show_default=True,
    envvar="WASM_PURGE_INTERVAL",
    show_envvar=True,
    help="How often expired modules are looked for.",
)
@click.option(
    "--http-request-timeout",
    type=positive_duration_s,
    metavar="DURATION",
    default="15s",
    show_default=True,
    envvar="WASM_HTTP_REQUEST_TIMEOUT",
    show_envvar=True,
    help="How long a file server's answer may take.",
)
@click.option(
    "--http-request-max-retries",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    envvar="WASM_HTTP_REQUEST_MAX_RETRIES",
    show_envvar=True,
    help="How often a file server is asked, the first time included.",
)
@click.option("--status-listen", type=listen_address, metavar="HOST:PORT", help="Serve metrics and readiness there.")
@click.option("--fixed", multiple=True, metavar="NAME", help="Do not reproduce this bug of the profile; repeatable.")
@click.option(
    "--bootstrap", type=click.Path(path_type=Path), help="Write the bootstrap of an Envoy that uses this agent."
)
@click.option("--node-id", metavar="ID", help="The node's ID in --bootstrap.")
@click.option("--labels", type=parse_labels, metavar="K=V,…", help="The node's labels in --bootstrap.")
def agent(
    discovery: Address,
    listen: Address | UnixAddress,
    data_dir: Path,
    profile: str | None,
    insecure_registries: frozenset[str],
    module_expiry: float,
    purge_interval: float,
    http_request_timeout: float,
    http_request_max_retries: int,
    status_listen: Address | None,
    fixed: tuple[str, ...],
    bootstrap: Path | None,
    node_id: str | None,
    labels: dict[str, str] | None,
) -> int:
    """The agent by itself: Envoy's xDS server, which pulls the modules that ECDS names.

    It connects to Discovery when Envoy connects to it. Who Envoy is, its node, is in Envoy's bootstrap and passed on
    as it is; --bootstrap writes one. It is ready when it prints a line of JSON on stdout; SIGINT and SIGTERM end it,
    with 0.
    """
    from sim.agent import AgentOptions, FetchOptions, status_server
    from sim.agent import agent as agent_part
    from sim.commands.alone import run_alone
    from sim.profiles import DEFAULT_PROFILE, load_profile

    loaded = load_profile(profile or DEFAULT_PROFILE)
    options = AgentOptions(
        profile=loaded,
        discovery_address=str(discovery),
        listen=str(listen),
        data_dir=data_dir,
        fetch=FetchOptions(
            insecure_registries=_Every() if "*" in insecure_registries else insecure_registries,
            timeout_s=http_request_timeout,
            max_retries=http_request_max_retries,
        ),
        module_expiry_s=module_expiry,
        purge_interval_s=purge_interval,
        fixed=frozenset(fixed),
    )
    if bootstrap is None and (node_id is not None or labels is not None):
        raise InvalidInput(
            "--node-id and --labels say what --bootstrap writes, and it is not given",
            hint="add --bootstrap FILE, or write the node into the bootstrap that Envoy has already",
        )
    check_free("agent", listen)
    if status_listen is not None:
        check_free("agent's status port", status_listen)
    _writable(data_dir, "--data-dir")

    @asynccontextmanager
    async def start(trace: Trace) -> AsyncIterator[Ready]:
        async with AsyncExitStack() as stack:
            stack.enter_context(socket_removed(listen))
            part = await stack.enter_async_context(agent_part(options, trace))
            ready: dict[str, Any] = {"listen": part.address}
            if status_listen is not None:
                ready["status"] = await stack.enter_async_context(status_server(part, str(status_listen)))
            if bootstrap is not None:
                _write_bootstrap(bootstrap, part.address, loaded.xds_variant == "delta", node_id, labels)
                ready["bootstrap"] = str(bootstrap)
            yield ready

    return run_alone("agent", start)


class _Every(frozenset[str]):
    """Every registry, as Istio reads `*`."""

    def __contains__(self, _: object) -> bool:
        return True


def _writable(folder: Path, option: str) -> None:
    """See that the folder is there, or make it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentProblem(
            f"{option}: {folder} can't be made: {error.strerror}", hint="name a folder that can be written to"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise EnvironmentProblem(f"{option}: {folder} can't be written to", hint="name another folder")


def _write_bootstrap(
    file: Path, xds_address: str, delta: bool, node_id: str | None, labels: dict[str, str] | None
) -> None:
    from sim.envoy import BootstrapOptions
    from sim.envoy.bootstrap import bootstrap
    from sim.model import Node, gateway_node

    if xds_address.startswith(UNIX):
        # Envoy may be started anywhere.
        xds_address = f"{UNIX}{Path(xds_address.removeprefix(UNIX)).absolute()}"
    usual = gateway_node()
    node = Node(node_id or usual.id, usual.labels if labels is None else labels)
    made = bootstrap(BootstrapOptions(node=node, xds_address=xds_address, delta=delta, upstream_port=1))
    # Who answers behind the gateway is Core's --upstream.
    made["static_resources"]["listeners"] = []
    try:
        file.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise EnvironmentProblem(
            f"--bootstrap: {file} can't be written: {error.strerror}", hint="name a file in a folder that exists"
        ) from error
