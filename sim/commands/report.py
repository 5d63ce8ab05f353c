"""`ecdsim report`: a run as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from sim.commands.output import reading_may_end


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where the report goes; by default report.html in the run directory.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="OTHER_RUN",
    help="Lay another run over this one: stage times side by side, and where the order of events differs.",
)
def report(run: Path, output: Path | None, against: Path | None) -> None:
    """Write the report of RUN, a run directory: one HTML file that plays the trace, and loads nothing.

    Every ecdsim run writes it; this makes it anew. Prints where it is.
    """
    from sim.report.html import write_page

    written = write_page(run, output, against)
    with reading_may_end():
        click.echo(str(written))
