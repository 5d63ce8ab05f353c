"""`ecdsim report`: a run as one HTML file, or for other tools."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.commands.output import reading_may_end

if TYPE_CHECKING:
    from sim.report.html.run_files import RunFiles


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where the report goes, by default report.html in the run directory; or the diagram, by default stdout.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="OTHER_RUN",
    help="Lay another run over this one: stage times side by side, and where the order of events differs.",
)
@click.option(
    "--perfetto",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a trace for ui.perfetto.dev or chrome://tracing instead.",
)
@click.option(
    "--mermaid",
    is_flag=True,
    help="Print one rollout as a Mermaid sequence diagram instead; -o FILE.md puts it into a code block.",
)
@click.option(
    "--rollout",
    type=click.IntRange(min=0),
    metavar="N",
    help="Which rollout --mermaid draws: rollouts[N] of result.json, by default the last.",
)
@click.option(
    "--otlp",
    metavar="URL",
    help=(
        "Send the rollouts as traces to an OpenTelemetry collector (OTLP/HTTP) instead, such as http://127.0.0.1:4318; "
        "OTEL_EXPORTER_OTLP_HEADERS adds headers."
    ),
)
def report(
    run: Path,
    output: Path | None,
    against: Path | None,
    perfetto: Path | None,
    mermaid: bool,
    rollout: int | None,
    otlp: str | None,
) -> None:
    """Write the report of RUN, a run directory: one HTML file that plays the trace, and loads nothing.

    Every ecdsim run writes it; this makes it anew. Prints where it is. With --perfetto, --mermaid or --otlp, of which
    several may be given, that is made instead.
    """
    exports = perfetto is not None or mermaid or otlp is not None
    if exports and against is not None:
        raise click.UsageError("--against is for the HTML report; leave out --perfetto, --mermaid and --otlp")
    if output is not None and exports and not mermaid:
        raise click.UsageError("-o is for the HTML report and for --mermaid; --perfetto names its own file")
    if rollout is not None and not mermaid:
        raise click.UsageError("--rollout goes with --mermaid")
    if exports:
        _export(run, output, perfetto, otlp, mermaid=mermaid, rollout=rollout)
        return
    from sim.report.html import write_page

    written = write_page(run, output, against)
    with reading_may_end():
        click.echo(str(written))


def _export(
    directory: Path,
    output: Path | None,
    perfetto: Path | None,
    otlp: str | None,
    *,
    mermaid: bool,
    rollout: int | None,
) -> None:
    from sim.report.html.run_files import read_run

    run = read_run(directory)
    # The diagram alone is data on stdout where it goes there; what else there is to say then goes to stderr.
    beside = mermaid and output is None
    if perfetto is not None:
        from sim.report.export.perfetto import write_perfetto

        write_perfetto(run, perfetto)
        with reading_may_end():
            click.echo(str(perfetto), err=beside)
    if mermaid:
        _draw(run, output, rollout)
    if otlp is not None:
        _send(run, otlp, beside=beside)


def _draw(run: RunFiles, output: Path | None, rollout: int | None) -> None:
    from sim.report.export.mermaid import mermaid, write_mermaid

    if output is None:
        with reading_may_end():
            click.echo(mermaid(run, rollout), nl=False)
        return
    write_mermaid(run, output, rollout)
    with reading_may_end():
        click.echo(str(output))


def _send(run: RunFiles, url: str, *, beside: bool) -> None:
    from sim.commands.until_signal import run_async
    from sim.report.export.otlp import headers_from, rollout_traces, send_traces, summary_lines

    traces = rollout_traces(run)
    run_async(send_traces(traces, url, headers_from(os.environ)))
    with reading_may_end():
        for line in summary_lines(traces):
            click.echo(line, err=beside)
