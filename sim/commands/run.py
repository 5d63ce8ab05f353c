"""Scenarios: run one, validate some, print the schemas."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.commands import statuses
from sim.commands.output import output_option, reading_may_end, write_data
from sim.commands.until_signal import run_async
from sim.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.scenario.result import Result


@click.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@output_option
@click.option("--envoy", metavar="PATH", help="The Envoy binary (default: $ENVOY, else the packaged one).")
@click.option("--profile", metavar="NAME|FILE", help="Another profile than the scenario's.")
@click.option(
    "--fixed",
    multiple=True,
    metavar="NAME",
    help="Do not reproduce this bug of the profile, besides those that the scenario names; repeatable.",
)
@click.option(
    "--with",
    "external",
    multiple=True,
    metavar="PART=HOST:PORT",
    help="Use a core, discovery or registry that is already running; repeatable.",
)
@click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where the run directory is made.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
def run(
    scenario: Path,
    output: str,
    envoy: str | None,
    profile: str | None,
    fixed: tuple[str, ...],
    external: tuple[str, ...],
    runs_dir: Path,
    quiet: bool,
) -> int:
    """Run a SCENARIO (a .yaml file, or a folder that holds scenario.yaml) and report what happened.

    Exits with 0 when it passed, 1 when an expectation or a step failed, 2 when the scenario is not valid, 3 when the
    environment did not allow it (no Envoy, a taken port, a part that died), 130 when interrupted.
    """
    from rich.console import Console

    from sim.report.progress import Progress
    from sim.report.terminal import print_report
    from sim.scenario.external import ExternalParts
    from sim.scenario.load import load_scenario
    from sim.scenario.runner import RunOptions, run_scenario
    from sim.trace import Trace

    loaded = load_scenario(scenario)
    options = RunOptions(
        runs_dir=runs_dir,
        envoy=envoy,
        profile=profile,
        fixed=frozenset(fixed),
        external=ExternalParts.parse(external),
    )
    trace = Trace()
    with nullcontext() if quiet else Progress(Console(stderr=True), trace) as progress:
        result = run_async(run_scenario(loaded, options, trace, progress))
    with reading_may_end():
        if output == "table":
            console = Console()
            # Rich would end the process with 1, which is what a failed expectation means.
            console.on_broken_pipe = _reader_left  # type: ignore[method-assign]  # rich's own hook for it
            print_report(console, result, trace.events)
        else:
            write_data(result.to_json(), output)
    if output != "table":
        for problem in _problems(result):
            click.echo(problem, err=True)
    return {"passed": statuses.PASSED, "failed": statuses.FAILED}.get(result.outcome, statuses.ENVIRONMENT)


@click.command()
@click.argument("scenarios", nargs=-1, required=True, type=click.Path(path_type=Path))
def validate(scenarios: tuple[Path, ...]) -> int:
    """Check SCENARIOS, and every file that they name, without starting anything."""
    from sim.scenario.load import load_scenario

    refused = 0
    for path in scenarios:
        try:
            loaded = load_scenario(path)
        except InvalidInput as error:
            click.echo(str(error), err=True)
            refused += 1
        else:
            click.echo(f"{path}: valid ({loaded.name})")
    return statuses.USAGE if refused else statuses.PASSED


@click.command()
@click.argument("what", type=click.Choice(["scenario", "result"]))
def schema(what: str) -> None:
    """Print the JSON Schema of a scenario file or of result.json."""
    from sim.scenario.result import result_schema
    from sim.scenario.schema import scenario_schema

    with reading_may_end():
        write_data(scenario_schema() if what == "scenario" else result_schema(), "json")


def _reader_left() -> None:
    raise BrokenPipeError


def _problems(result: Result) -> Iterator[str]:
    """What went wrong, in a line each, for whoever only gets data on stdout."""
    if result.error is not None:
        place = f"{result.error.where}: " if result.error.where else ""
        yield f"{place}{result.error.message}"
        if result.error.hint:
            yield f"  hint: {result.error.hint}"
        if result.error.log_tail:
            yield result.error.log_tail
    for expectation in result.expectations:
        if not expectation.passed:
            why = expectation.error or json.dumps(expectation.actual, ensure_ascii=False)
            yield f"{expectation.where}: not so: {expectation.that}  ({why})"
