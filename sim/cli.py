"""The command line. Data goes to stdout, everything else to stderr; exit codes are those of the design."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import nullcontext
from importlib.metadata import version as package_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sim.clock import precise_loop
from sim.errors import InvalidInput, SimError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.scenario.result import Result

EXIT_PASSED, EXIT_FAILED, EXIT_USAGE, EXIT_ENVIRONMENT, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

_T = TypeVar("_T")

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="How the data on stdout is written.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_version("ecdsim"), prog_name="ecdsim")
def cli() -> None:
    """Replay how a Wasm plugin reaches a gateway, into a real Envoy, and measure every step."""


@cli.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@output_option
@click.option("--envoy", metavar="PATH", help="The Envoy binary (default: $ENVOY, else the packaged one).")
@click.option("--profile", metavar="NAME|FILE", help="Another profile than the scenario's.")
@click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where the run directory is made.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
def run(scenario: Path, output: str, envoy: str | None, profile: str | None, runs_dir: Path, quiet: bool) -> int:
    """Run a SCENARIO (a .yaml file, or a folder that holds scenario.yaml) and report what happened.

    Exits with 0 when it passed, 1 when an expectation or a step failed, 2 when the scenario is not valid, 3 when the
    environment did not allow it (no Envoy, a taken port, a part that died), 130 when interrupted.
    """
    from rich.console import Console

    from sim.report.progress import Progress
    from sim.report.terminal import print_report
    from sim.scenario.load import load_scenario
    from sim.scenario.runner import RunOptions, run_scenario
    from sim.trace import Trace

    loaded = load_scenario(scenario)
    options = RunOptions(runs_dir=runs_dir, envoy=envoy, profile=profile)
    trace = Trace()
    with nullcontext() if quiet else Progress(Console(stderr=True), trace) as progress:
        result = _run_async(run_scenario(loaded, options, trace, progress))
    if output == "table":
        print_report(Console(), result, trace.events)
    else:
        _write(result.to_json(), output)
        for problem in _problems(result):
            click.echo(problem, err=True)
    return {"passed": EXIT_PASSED, "failed": EXIT_FAILED}.get(result.outcome, EXIT_ENVIRONMENT)


@cli.command()
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
    return EXIT_USAGE if refused else EXIT_PASSED


@cli.command()
@click.argument("what", type=click.Choice(["scenario", "result"]))
def schema(what: str) -> None:
    """Print the JSON Schema of a scenario file or of result.json."""
    from sim.scenario.result import result_schema
    from sim.scenario.schema import scenario_schema

    _write(scenario_schema() if what == "scenario" else result_schema(), "json")


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


def _write(data: Any, output: str) -> None:
    if output == "yaml":
        from ruamel.yaml import YAML

        yaml = YAML()
        yaml.default_flow_style = False
        yaml.dump(data, sys.stdout)
    else:
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def _run_async(main: Coroutine[Any, Any, _T]) -> _T:
    """Run to the end, or until SIGINT or SIGTERM; then everything is still taken down in order.

    A second signal changes nothing: what is being taken down is bounded in time, and cutting it short would leave
    processes behind.
    """

    async def supervised() -> _T:
        task = asyncio.ensure_future(main)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        try:
            return await task
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, lambda: None)

    with asyncio.Runner(loop_factory=precise_loop) as runner:
        return runner.run(supervised())


def main() -> int:
    """Run the command line; the exit status. What a user can mend becomes a message, never a traceback."""
    try:
        outcome = cli(standalone_mode=False)
    except SimError as error:
        click.echo(f"ecdsim: {error}", err=True)
        return error.exit_code
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (asyncio.CancelledError, KeyboardInterrupt, click.Abort):
        click.echo("ecdsim: interrupted", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would try to write the rest once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PASSED
    return outcome if isinstance(outcome, int) else EXIT_PASSED
