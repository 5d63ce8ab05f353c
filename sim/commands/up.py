"""A pipeline that stays up, with a live page."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.commands import statuses
from sim.commands.addresses import Address, listen_address
from sim.commands.output import stdout_console
from sim.commands.part_options import abi_shim_option
from sim.commands.run_options import (
    envoy_option,
    fixed_option,
    pinned_axes,
    profile_option,
    runs_dir_option,
    wasm_log_option,
)
from sim.commands.until_signal import run_async, until_signal

if TYPE_CHECKING:
    from sim.envoy.log import WasmLogLevel
    from sim.errors import SimError
    from sim.profiles import AbiShim
    from sim.scenario.run import RunOptions
    from sim.web.site import Site, SiteOptions


@click.command()
@click.argument("scenario", required=False, type=click.Path(path_type=Path))
@click.option(
    "--listen",
    type=listen_address,
    default="127.0.0.1:0",
    show_default=True,
    metavar="HOST:PORT",
    help="Where the page is; port 0 is any free one.",
)
@click.option(
    "--manifests",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Apply what is in this folder, and whatever is saved there later.",
)
@click.option("--step", is_flag=True, help="Hold every rollout before each of the nine steps, until told to go on.")
@click.option("--play", is_flag=True, help="Carry out the scenario's steps at once, instead of when the page says so.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How the addresses come.")
@envoy_option
@profile_option
@fixed_option
@abi_shim_option
@wasm_log_option
@runs_dir_option
def up(
    scenario: Path | None,
    listen: Address,
    manifests: Path | None,
    step: bool,
    play: bool,
    output: str,
    envoy: str | None,
    profile: str | None,
    fixed: tuple[str, ...],
    abi_shim: AbiShim | None,
    wasm_log: WasmLogLevel | None,
    runs_dir: Path,
) -> int:
    """Bring up the pipeline of SCENARIO, with its images and its traffic, and keep it up.

    The page at the printed address shows what happens while it happens, and changes it; so do kubectl, by the
    kubeconfig that is written into the run directory, and files saved into --manifests. The scenario's steps are
    carried out when the page says so. Without SCENARIO it is a pipeline with the bundled plugins' images. Ctrl-C ends
    it; the run directory stays, with report.html in it.
    """
    from sim.scenario.load import load_scenarios
    from sim.scenario.matrix import choose
    from sim.scenario.runner import RunOptions
    from sim.scenario.stops import Stops
    from sim.web.site import FIRST_SCENARIO, SiteOptions

    loaded = load_scenarios(scenario or FIRST_SCENARIO, pinned_axes(envoy, profile))
    if len(loaded) > 1:
        first = loaded[0].combination
        click.echo(f"of {len(loaded)} combinations, this is {first.name if first else 'the first'}", err=True)
        loaded = choose(loaded, first.name) if first is not None else loaded
    stops = Stops()
    stops.on = step
    options = RunOptions(
        runs_dir=runs_dir,
        envoy=envoy,
        profile=profile,
        fixed=frozenset(fixed),
        abi_shim=abi_shim,
        wasm_log=wasm_log,
        warn=lambda doubt: click.echo(f"warning: {doubt}", err=True),
        by_hand=True,
        hold_expectations=False,
        stops=stops,
    )
    where = SiteOptions(host=listen.host, port=listen.port, manifests=manifests)
    return run_async(_stay(loaded[0], options, where, play=play, as_json=output == "json"))


async def _stay(loaded: object, options: RunOptions, where: SiteOptions, *, play: bool, as_json: bool) -> int:
    from sim.commands.watched_folder import watched
    from sim.report.html import write_page
    from sim.scenario.load import LoadedScenario
    from sim.scenario.runner import opened
    from sim.scenario.session import Session
    from sim.web.site import site

    assert isinstance(loaded, LoadedScenario)
    async with opened(loaded, options) as (run, stage):
        session = Session(run, stage)
        async with site(session, where) as there, asyncio.TaskGroup() as tasks:
            if play:
                there.script.ask(None)
            _announce(there, where, as_json=as_json)
            following = None
            if where.manifests is not None:
                following = tasks.create_task(watched(where.manifests, session, _complain), name="folder")
            await until_signal()
            if following is not None:
                following.cancel()
    result = run.result
    if result is not None and result.error is not None:
        click.echo(f"ecdsim: {result.error.message}", err=True)
        click.echo(result.error.log_tail or "", err=True, nl=False)
        return statuses.ENVIRONMENT
    write_page(run.directory)
    click.echo(f"ended; what happened is in {run.directory}/report.html", err=True)
    return statuses.PASSED


def _announce(there: Site, where: SiteOptions, *, as_json: bool) -> None:
    gateway = there.session.stage.pipeline.gateway
    facts = {
        "page": there.url,
        "gateway": f"http://{gateway.host}:{gateway.port}",
        "registry": there.session.stage.pipeline.registry.address,
        "kubeconfig": str(there.kubeconfig),
        "metrics": f"http://{there.address}/metrics",
        "directory": str(there.session.run.directory),
    }
    if as_json:
        click.echo(json.dumps({"ready": True, **facts}))
    else:
        console = stdout_console()
        lines = {
            "page": facts["page"],
            "gateway": facts["gateway"],
            "registry": facts["registry"],
            "kubectl": f"kubectl --kubeconfig {facts['kubeconfig']} get wasmplugins",
            "manifests": f"{where.manifests}, watched" if where.manifests is not None else None,
            "metrics": facts["metrics"],
        }
        for name, line in lines.items():
            if line is not None:
                console.print(f"[bold]{name:10}[/bold]", end="", highlight=False)
                console.print(line, highlight=False, markup=False, soft_wrap=True)
        console.print("Ctrl-C ends it.", style="dim")
    sys.stdout.flush()


def _complain(error: SimError) -> None:
    click.echo(f"ecdsim: {error}", err=True)
