"""`ecdsim test`: many scenarios, a line for each, and what CI wants to know."""

from __future__ import annotations

import os
from pathlib import Path

import click

from sim.commands import statuses
from sim.commands.diff import max_ratio_option
from sim.commands.output import output_option, reading_may_end, write_data
from sim.commands.part_options import abi_shim_option
from sim.commands.run_options import envoy_option, fixed_option, pinned_axes, profile_option, runs_dir_option


@click.command()
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(min=1),
    default=max(1, (os.cpu_count() or 1) // 2),
    show_default="half the cores",
    help="So many runs at a time; more than half the cores, and they slow each other down.",
)
@click.option(
    "-k", "words", metavar="EXPR", help="Only cases whose name, path or labels hold the words: 'bump and not oci'."
)
@click.option("-m", "labels", metavar="EXPR", help="Only cases with these labels: 'incident and not slow'.")
@click.option("--list", "listing", is_flag=True, help="Name the cases that would be run, and run none.")
@click.option("--runs", type=click.IntRange(min=1), default=1, show_default=True, help="Run each case so often.")
@click.option("--fail-fast", is_flag=True, help="Begin no further run once one has not passed.")
@click.option("--junit-xml", type=click.Path(path_type=Path), metavar="FILE", help="Write the outcome as JUnit XML.")
@click.option("--github-annotations", is_flag=True, help="Print each problem as an annotation of GitHub Actions, too.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Fail where order or payloads are not as in this folder.",
)
@click.option("--update-baseline", is_flag=True, help="Write what passed to the baseline instead.")
@max_ratio_option(
    "With --baseline: fail where a stage takes R times as long, and 10 ms longer, than on this machine before."
)
@envoy_option
@profile_option
@fixed_option
@abi_shim_option
@runs_dir_option
@output_option
def test(
    paths: tuple[Path, ...],
    jobs: int,
    words: str | None,
    labels: str | None,
    listing: bool,
    runs: int,
    fail_fast: bool,
    junit_xml: Path | None,
    github_annotations: bool,
    baseline: Path | None,
    update_baseline: bool,
    max_ratio: float | None,
    envoy: str | None,
    profile: str | None,
    fixed: tuple[str, ...],
    abi_shim: str | None,
    runs_dir: Path,
    output: str,
) -> int:
    """Run every scenario below the PATHs (by default scenarios/) and say which passed.

    All are checked before the first is run. Each combination of a scenario's matrix is a case of its own. With --runs
    a case passes only if it did every time.

    Exits with 0 when all passed, 1 when an expectation, a step or the baseline failed, 2 when a scenario or the
    command line is not valid, 3 when the environment did not allow a run, 130 when interrupted.
    """
    from sim.commands.case_runs import RunArguments
    from sim.commands.suite_run import SuiteOptions, SuiteRun, tell_invalid
    from sim.scenario.baseline import Baseline
    from sim.scenario.suite import discover, load_suite, refuse_namesakes

    _check_options(baseline, update_baseline, max_ratio)
    suite = load_suite(discover(paths or (Path("scenarios"),)), pinned_axes(envoy, profile))
    options = SuiteOptions(
        arguments=RunArguments(runs_dir, envoy=envoy, profile=profile, fixed=fixed, abi_shim=abi_shim),
        jobs=jobs,
        runs=runs,
        fail_fast=fail_fast,
        junit_xml=junit_xml,
        github_annotations=github_annotations,
        baseline=Baseline(baseline) if baseline is not None else None,
        update_baseline=update_baseline,
        max_ratio=max_ratio,
        data=output != "table",
    )
    if suite.invalid:
        tell_invalid(suite, options)
        return statuses.USAGE
    cases = suite.select(words, labels)
    refuse_namesakes(cases)
    if listing:
        with reading_may_end():
            for case in cases:
                click.echo(case.name)
        return statuses.PASSED
    run = SuiteRun(cases, options)
    run.prepare(everything=words is None and labels is None)
    run.carry_out()
    run.report()
    if output != "table":
        with reading_may_end():
            write_data(run.to_json(), output)
    return run.status


def _check_options(baseline: Path | None, update: bool, max_ratio: float | None) -> None:
    if baseline is None and update:
        raise click.UsageError("--update-baseline needs --baseline DIR, the folder to write to.")
    if baseline is None and max_ratio is not None:
        raise click.UsageError("--max-ratio needs --baseline DIR, which has the times to hold against.")
