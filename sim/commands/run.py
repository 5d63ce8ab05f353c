"""Scenarios: run one, validate some, print the schemas."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.commands import statuses
from sim.commands.output import output_option, reading_may_end, stdout_console, write_data
from sim.commands.part_options import abi_shim_option
from sim.commands.run_options import (
    envoy_option,
    fixed_option,
    pinned_axes,
    profile_option,
    runs_dir_option,
    wasm_log_option,
)
from sim.commands.until_signal import run_async
from sim.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.envoy.log import WasmLogLevel
    from sim.profiles import AbiShim
    from sim.scenario.result import Result


@click.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@output_option
@envoy_option
@profile_option
@fixed_option
@abi_shim_option
@click.option(
    "--with",
    "external",
    multiple=True,
    metavar="PART=HOST:PORT",
    help="Use a core, discovery or registry that is already running; repeatable.",
)
@click.option(
    "--record",
    multiple=True,
    metavar="HOP",
    type=click.Choice(["core-discovery", "discovery-agent", "agent-envoy", "all"]),
    help="Keep every message of core-discovery, discovery-agent, agent-envoy, or all; repeatable. See ecdsim replay.",
)
@click.option("--combination", metavar="NAME", help="Of a scenario with a matrix, run this combination alone.")
@wasm_log_option
@runs_dir_option
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
def run(
    scenario: Path,
    output: str,
    envoy: str | None,
    profile: str | None,
    fixed: tuple[str, ...],
    abi_shim: AbiShim | None,
    external: tuple[str, ...],
    record: tuple[str, ...],
    combination: str | None,
    wasm_log: WasmLogLevel | None,
    runs_dir: Path,
    quiet: bool,
) -> int:
    """Run a SCENARIO (a .yaml file, or a folder that holds scenario.yaml) and report what happened.

    One with a matrix is run once for each combination; what -o json prints is then a list, and the status the worst.

    Exits with 0 when it passed, 1 when an expectation or a step failed, 2 when the scenario is not valid, 3 when the
    environment did not allow it (no Envoy, a taken port, a part that died), 130 when interrupted.
    """
    from rich.console import Console

    from sim.report.progress import Progress
    from sim.report.suite_lines import combination_lines
    from sim.report.terminal import print_report
    from sim.scenario.external import ExternalParts
    from sim.scenario.load import load_scenarios
    from sim.scenario.matrix import choose
    from sim.scenario.recording import HOPS
    from sim.scenario.runner import RunOptions, check_envoys, run_scenario
    from sim.scenario.versions import attribution
    from sim.trace import Trace

    parts = ExternalParts.parse(external)
    loaded = load_scenarios(scenario, pinned_axes(envoy, profile), registry=parts.registry)
    several = loaded[0].combination is not None and combination is None
    if combination is not None:
        loaded = choose(loaded, combination)
    options = RunOptions(
        runs_dir=runs_dir,
        envoy=envoy,
        profile=profile,
        fixed=frozenset(fixed),
        external=parts,
        record=frozenset(HOPS if "all" in record else record),
        abi_shim=abi_shim,
        wasm_log=wasm_log,
        warn=lambda doubt: click.echo(f"warning: {doubt}", err=True),
    )
    check_envoys(loaded, options)

    async def carry_out() -> list[Result]:
        results = []
        for each in loaded:
            trace = Trace()
            versions = attribution(each, parts.registry).versions
            with nullcontext() if quiet else Progress(Console(stderr=True), trace, versions=versions) as progress:
                result = await run_scenario(each, options, trace, progress)
            results.append(result)
            _write_report(result)
            if output == "table":
                with reading_may_end():
                    print_report(stdout_console(), result, trace.events)
                    click.echo("\n" if several else "", nl=False)
        return results

    results = run_async(carry_out())
    with reading_may_end():
        if output != "table":
            data = [result.to_json() for result in results]
            write_data(data if several else data[0], output)
        elif several:
            for line in combination_lines(results):
                click.echo(line)
    if output != "table":
        for problem in (problem for result in results for problem in _problems(result)):
            click.echo(problem, err=True)
    outcomes = {"passed": statuses.PASSED, "failed": statuses.FAILED, "error": statuses.ENVIRONMENT}
    return max(outcomes[result.outcome] for result in results)


@click.command()
@click.argument("scenarios", nargs=-1, required=True, type=click.Path(path_type=Path))
def validate(scenarios: tuple[Path, ...]) -> int:
    """Check SCENARIOS, all combinations of each, and every file that they name, without starting anything.

    Images that the agent or this machine's Envoy will refuse are told of on stderr: a valid scenario may be about them.
    """
    from sim.scenario.image_doubts import doubts_beforehand
    from sim.scenario.load import load_scenarios

    refused = 0
    for path in scenarios:
        try:
            loaded = load_scenarios(path)
        except InvalidInput as error:
            click.echo(str(error), err=True)
            refused += 1
        else:
            doubts = [doubt for each in loaded for doubt in run_async(doubts_beforehand(each))]
            for doubt in dict.fromkeys(doubts):
                click.echo(f"warning: {path}: {doubt}", err=True)
            told = f", {len(loaded)} combinations" if loaded[0].combination is not None else ""
            click.echo(f"{path}: valid ({loaded[0].name}{told})")
    return statuses.USAGE if refused else statuses.PASSED


@click.command()
@click.argument("what", type=click.Choice(["scenario", "result"]))
def schema(what: str) -> None:
    """Print the JSON Schema of a scenario file or of result.json."""
    from sim.scenario.result import result_schema
    from sim.scenario.schema import scenario_schema

    with reading_may_end():
        write_data(scenario_schema() if what == "scenario" else result_schema(), "json")


def _write_report(result: Result) -> None:
    """Put report.html into the run directory; where that fails, say so, and nothing else changes."""
    from sim.report.html import write_page

    if result.directory is None:
        return
    try:
        write_page(Path(result.directory))
    except Exception as error:  # noqa: BLE001  whatever is wrong with the picture, the run and its outcome stand
        click.echo(f"warning: no report.html was written: {error}", err=True)


def _problems(result: Result) -> Iterator[str]:
    """What went wrong, in a line each, for whoever only gets data on stdout."""
    from sim.scenario.expect import in_words

    if result.error is not None:
        place = f"{result.error.where}: " if result.error.where else ""
        yield f"{place}{result.error.message}"
        if result.error.hint:
            yield f"  hint: {result.error.hint}"
        if result.error.log_tail:
            yield result.error.log_tail
    for expectation in result.expectations:
        if not expectation.passed:
            yield f"{expectation.where}: not so: {expectation.that}  ({in_words(expectation)})"
    for threshold in result.thresholds:
        if not threshold.passed:
            unit = "" if threshold.that.lstrip().startswith("count") else " ms"
            why = threshold.error or f"{threshold.actual}{unit} over {threshold.count} rollouts"
            yield f"{threshold.where}: not so: {threshold.metric} {threshold.that}  ({why})"
