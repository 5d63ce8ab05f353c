"""`ecdsim diff`: what differs between two runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sim.commands import statuses
from sim.commands.output import output_option, reading_may_end, write_data

if TYPE_CHECKING:
    from sim.scenario.operands import Operand


def max_ratio_option(help_text: str) -> Callable[[Any], Any]:
    """The option --max-ratio; a ratio below 1 would call the same times different."""
    return click.option("--max-ratio", type=click.FloatRange(min=1.0), metavar="R", help=help_text)


@click.command()
@click.argument("before", metavar="A", type=click.Path(path_type=Path))
@click.argument("after", metavar="B", type=click.Path(path_type=Path))
@max_ratio_option("A stage that takes R times as long, and 10 ms longer, is a difference; without it no time is.")
@output_option
def diff(before: Path, after: Path, max_ratio: float | None, output: str) -> int:
    """What differs between two runs: A and B.

    Each is a run directory, a result.json, a file of a baseline, or a folder with several runs of one scenario, whose
    times are then medians with their least and greatest. Verdicts, the order of events, and payloads field by field
    are compared, after what varies by itself was taken out: nonces, versions, ports, times, paths of temporary files,
    and how the work of independent parts interleaves. Times are told, and count only with --max-ratio.

    Exits with 0 when they are the same, 1 when they are not.
    """
    from sim.report.difference import difference_lines, time_lines, traffic_lines, verdict_lines
    from sim.scenario.compare import compare
    from sim.scenario.operands import read_operand

    sides = (read_operand(before), read_operand(after))
    found = compare(sides[0].transcript, sides[1].transcript, max_ratio)
    same = found.same and not any(side.varying for side in sides)
    with reading_may_end():
        if output == "table":
            for letter, side in zip("AB", sides, strict=True):
                _tell_side(letter, side)
            times = time_lines(found.times)
            ending = verdict_lines(found, max_ratio)
            for line in (*difference_lines(found), *traffic_lines(found.traffic), *times, *ending):
                click.echo(line)
        else:
            varying = {
                letter: {name: difference.to_json() for name, difference in side.varying.items()}
                for letter, side in zip("AB", sides, strict=True)
            }
            write_data({**found.to_json(), "same": same, "varying": varying}, output)
    return statuses.PASSED if same else statuses.FAILED


def _tell_side(letter: str, side: Operand) -> None:
    from sim.report.difference import difference_lines

    transcript = side.transcript
    runs = f" · {side.runs} runs" if side.runs > 1 else ""
    click.echo(f"{letter}  {side.path}: {transcript.name} · profile {transcript.profile} · {transcript.outcome}{runs}")
    if side.varying:
        click.echo(f"   {len(side.varying)} of its runs differ from the first")
        for name, difference in side.varying.items():
            click.echo(f"   {name}")
            for line in difference_lines(difference):
                click.echo(f"     {line}")
