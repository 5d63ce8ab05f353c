"""`ecdsim logs`: what the plugins of a run said."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.commands import statuses
from sim.commands.output import output_choice, reading_may_end
from sim.commands.values import positive_duration_s

if TYPE_CHECKING:
    from sim.report.export.plugin_log import LogLine

_LEVELS = ("trace", "debug", "info", "warning", "error", "critical")
_POLL_S = 0.2


@click.command()
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--plugin", metavar="NAME", help="Only this plugin: namespace/name, or the name alone.")
@click.option("-f", "--follow", is_flag=True, help="Go on with a run that is going on, until it ends.")
@click.option(
    "--level", type=click.Choice(_LEVELS), default="info", show_default=True, help="This level and what is worse."
)
@click.option("--worker", type=click.IntRange(min=0), metavar="N", help="Only this worker of Envoy.")
@click.option("--gateway", metavar="NAME", help="Only this gateway, in a run with several.")
@click.option("--since", metavar="DURATION", help="Only the last so much of the run, such as 5s.")
@output_choice("text", "json")
def logs(
    run: Path | None,
    plugin: str | None,
    follow: bool,
    level: str,
    worker: int | None,
    gateway: str | None,
    since: str | None,
    output: str,
) -> None:
    """Print what plugins said in RUN, a run directory, by default the newest in runs/.

    Each line has its time after the run's first event, the level, the plugin and Envoy's thread; what Envoy itself says
    of a plugin, such as why it failed, is marked [envoy]. -o json prints an object a line.

    What plugins say below info is there if the scenario asks for it, by gateway: {wasm_log: debug}, or the run by
    --wasm-log debug; --level debug then shows it.
    """
    since_s = positive_duration_s(since) if since is not None else None
    from sim.report.export.plugin_log import PluginLog, TraceTail, Wanted, newest_run

    tail = TraceTail(run if run is not None else newest_run(Path("runs")))
    log = PluginLog()
    # The result is written after the last event: what was over before reading is read whole.
    over = tail.over
    lines = log.take(tail.read())
    since_ns = log.latest_ns - round(since_s * 1e9) if since_s is not None else 0
    wanted = Wanted(plugin, level, worker, gateway, since_ns)
    if over or not follow:
        wanted.check(log)
    with reading_may_end():
        try:
            _print([line for line in lines if wanted.shows(line)], output)
            while follow and not over:
                time.sleep(_POLL_S)
                over = tail.over
                _print([line for line in log.take(tail.read()) if wanted.shows(line)], output)
        except KeyboardInterrupt:
            # As kubectl logs -f ends: whoever interrupts knows.
            raise click.exceptions.Exit(statuses.INTERRUPTED) from None
    if follow:
        wanted.check(log)


def _print(lines: list[LogLine], output: str) -> None:
    # Envoy's lines are read a little later than they were written.
    for line in sorted(lines, key=lambda each: each.t_ns):
        click.echo(line.to_text() if output == "text" else json.dumps(line.to_json(), ensure_ascii=False))
