"""`ecdsim agent`: the agent by itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.commands.addresses import (
    UNIX,
    Address,
    UnixAddress,
    address,
    check_free,
    envoy_listen_address,
    listen_address,
    socket_removed,
)
from sim.commands.part_options import abi_shim_option, data_dir_option, istio_setting, make_writable, profile_option
from sim.commands.values import duration_s, names, positive_duration_s
from sim.commands.values import labels as parse_labels
from sim.errors import EnvironmentProblem, InvalidInput

if TYPE_CHECKING:
    from sim.commands.alone import Ready
    from sim.profiles import AbiShim
    from sim.trace import Trace


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
@data_dir_option("modules")
@profile_option
@istio_setting(
    "--insecure-registries",
    "WASM_INSECURE_REGISTRIES",
    names,
    "",
    "Registries whose certificate is not verified; * is every one.",
    metavar="A,B",
)
@istio_setting(
    "--module-expiry", "WASM_MODULE_EXPIRY", duration_s, "24h", "A module that was not asked for this long is purged."
)
@istio_setting(
    "--purge-interval", "WASM_PURGE_INTERVAL", positive_duration_s, "1h", "How often expired modules are looked for."
)
@istio_setting(
    "--http-request-timeout",
    "WASM_HTTP_REQUEST_TIMEOUT",
    positive_duration_s,
    "15s",
    "How long a file server's answer may take.",
)
@istio_setting(
    "--http-request-max-retries",
    "WASM_HTTP_REQUEST_MAX_RETRIES",
    click.IntRange(min=1),
    5,
    "How often a file server is asked, the first time included.",
    metavar=None,
)
@click.option("--status-listen", type=listen_address, metavar="HOST:PORT", help="Serve metrics and readiness there.")
@abi_shim_option
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
    abi_shim: AbiShim | None,
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
    if abi_shim is not None:
        loaded = loaded.model_copy(update={"abi_shim": abi_shim})
    options = AgentOptions(
        profile=loaded,
        discovery_address=str(discovery),
        listen=str(listen),
        # Envoy may be started anywhere, and is told the files' paths.
        data_dir=data_dir.absolute(),
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
    make_writable(data_dir, "--data-dir")

    @asynccontextmanager
    async def start(trace: Trace) -> AsyncIterator[Ready]:
        async with AsyncExitStack() as stack:
            stack.enter_context(socket_removed(listen))
            part = await stack.enter_async_context(agent_part(options, trace))
            ready: Ready = {"listen": part.address}
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


def _write_bootstrap(
    file: Path, xds_address: str, delta: bool, node_id: str | None, labels: dict[str, str] | None
) -> None:
    from sim.envoy import BootstrapOptions
    from sim.envoy.bootstrap import bootstrap
    from sim.model import Node, gateway_node

    if xds_address.startswith(UNIX):
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
