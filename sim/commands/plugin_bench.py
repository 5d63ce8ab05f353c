"""`ecdsim plugin bench`: what a plugin costs in latency, load time and memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.commands import statuses
from sim.commands.asked_requests import asked_header, asked_request
from sim.commands.output import output_option, reading_may_end, write_data
from sim.commands.plugin_options import RegistryOptions, registry_options
from sim.commands.run_options import envoy_option
from sim.commands.until_signal import run_async
from sim.commands.values import positive_duration_s, requests_per_s
from sim.errors import InvalidInput, PartDied

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.envoy import EnvoyBinary
    from sim.plugin.bench import Bench, Measured
    from sim.plugin.bench_envoy import LogLevel
    from sim.plugin.examine import Examined
    from sim.plugin.trial import Asked

#: Counted requests that a round has to have, so that it has a median worth the name.
_LEAST_REQUESTS = 5


@click.command()
@click.argument("what", metavar="FILE|NAME|REF")
@click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path),
    help="The plugin's configuration, YAML or JSON, _rules_ too; or a WasmPlugin, of which Core makes it.",
)
@click.option(
    "--request",
    "-r",
    default="GET /",
    show_default=True,
    metavar="'METHOD PATH'",
    help="The request; instead of the path also http://HOST/PATH.",
)
@click.option("--header", "-H", "headers", multiple=True, metavar="'NAME: VALUE'", help="Of the request; repeatable.")
@click.option("--data", "-d", metavar="TEXT", help="The request's body.")
@click.option(
    "--rate", type=requests_per_s, metavar="RATE", default="500/s", show_default=True, help="Requests a second, always."
)
@click.option(
    "--connections",
    type=click.IntRange(1, 1000),
    default=8,
    show_default=True,
    help="They stay open, and are shared out evenly to the workers.",
)
@click.option(
    "--duration",
    type=positive_duration_s,
    metavar="DURATION",
    default="5s",
    show_default=True,
    help="Of the traffic on each Envoy, warm-up not counted.",
)
@click.option(
    "--rounds",
    type=click.IntRange(2, 10_000),
    default=40,
    show_default=True,
    help="Pairs of rounds, one with the plugin and one without, in that time.",
)
@click.option(
    "--loads",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="Envoys, one after the other, that load the plugin and are measured.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Envoy's worker threads.")
@click.option(
    "--abi-shim",
    type=click.Choice(["auto", "off"]),
    default="auto",
    show_default=True,
    help="Whether the ABI of Higress' Go SDK is renamed, which stock Envoy does not know.",
)
@click.option(
    "--log-level",
    type=click.Choice(["trace", "debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="From which level on the plugin's words are written; warning is what Istio's gateways have.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
@envoy_option
@output_option
@registry_options
def bench(
    what: str,
    config: Path | None,
    request: str,
    headers: tuple[str, ...],
    data: str | None,
    rate: float,
    connections: int,
    duration: float,
    rounds: int,
    loads: int,
    workers: int,
    abi_shim: str,
    log_level: LogLevel,
    quiet: bool,
    envoy: str | None,
    output: str,
    registry: RegistryOptions,
) -> int:
    """Measure what a plugin costs: latency added to each request, time to load, memory of each VM.

    NAME is a bundled plugin's; header-loop is made for this. Requests come at a steady rate, whether or not the ones
    before were answered, and take the same route in turn with the plugin and without it, in rounds of some
    milliseconds; what is told are differences between rounds beside each other. Every figure comes with its spread, and
    a difference that drowns in it is called that. Exits with 1 when Envoy refuses the plugin, or the plugin fails.
    """
    from sim.commands.plugin_bench_report import as_data, lines, warnings
    from sim.plugin.bench import Bench
    from sim.plugin.bench_envoy import Candidate
    from sim.plugin.bench_rounds import SETTLE_S, TrafficPlan
    from sim.plugin.configuration import Configuration, read_configuration
    from sim.wasm.abi import shimmed

    plan = TrafficPlan(
        request=_asked(request, headers, data),
        rate_per_s=rate,
        connections=connections,
        pairs=rounds,
        round_s=duration / (2 * rounds),
    )
    _check_rounds(plan.round_s, SETTLE_S, rate, rounds)
    configuration = Configuration() if config is None else read_configuration(config)

    def planned(content: bytes) -> Bench:
        module = shimmed(content) if abi_shim == "auto" else content
        candidate = Candidate(module, configuration, shim=module is not content)
        return Bench(candidate, plan, loads, workers, log_level)

    def tell(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    examined, made, measured, binary = run_async(_run(what, registry, envoy, planned, tell))
    if made is None:
        from sim.commands.plugin_inspect import say_problems

        say_problems(examined.problems)
        return statuses.FAILED
    with reading_may_end():
        if output == "table":
            for line in lines(examined.name, made, measured, binary):
                click.echo(line)
        else:
            write_data(as_data(examined.name, made, measured, binary), output)
    for warning in warnings(made, measured):
        click.echo(warning, err=True)
    return statuses.FAILED if any(each.complaints for each in measured) else statuses.PASSED


async def _run(
    what: str,
    registry: RegistryOptions,
    envoy: str | None,
    planned: Callable[[bytes], Bench],
    tell: Callable[[str], None],
) -> tuple[Examined, Bench | None, list[Measured], EnvoyBinary]:
    """What was planned and what came of it: None and nothing where there is no module that could be measured."""
    from sim.envoy import find_envoy, probe_envoy
    from sim.plugin.bench import run_bench

    examined = await _examined(what, registry)
    binary = await probe_envoy(find_envoy(envoy))
    if examined.content is None or examined.module is None:
        return examined, None, [], binary
    made = planned(examined.content)
    if made.candidate.shim:
        tell(f"note: {examined.module.loads_on.why}; the shim is applied")
    try:
        return examined, made, await run_bench(made, binary, tell), binary
    except PartDied as death:
        click.echo(death.log_tail, err=True)
        raise


async def _examined(what: str, registry: RegistryOptions) -> Examined:
    """A file where there is one of that name, else a bundled plugin, else an image."""
    from sim.commands.plugin_inspect import examine
    from sim.plugin.examine import examine_module
    from sim.wasm import bundled, bundled_names

    if _is_bundled(what):
        return examine_module(what, bundled(what).module)
    try:
        return await examine(what, registry)
    except InvalidInput as error:
        hint = f"{error.hint}; or a bundled plugin: {', '.join(bundled_names())}"
        raise InvalidInput(error.message, where=error.where, hint=hint) from error


def _is_bundled(what: str) -> bool:
    from sim.wasm import bundled_names

    return what in bundled_names() and not Path(what).exists()


def _asked(request: str, headers: tuple[str, ...], data: str | None) -> Asked:
    given = tuple(asked_header(text) for text in headers)
    names = [name.lower() for name, _ in given]
    if len(set(names)) < len(names):
        raise InvalidInput("a header is there twice", hint="give each once, with its values separated by commas")
    return asked_request(request, given, data)


def _check_rounds(round_s: float, settle_s: float, rate_per_s: float, rounds: int) -> None:
    """Raises InvalidInput where rounds would be too short for a median each."""
    least_s = settle_s + _LEAST_REQUESTS / rate_per_s
    if round_s < least_s:
        raise InvalidInput(
            f"rounds of {round_s * 1e3:.0f} ms are too short: {settle_s * 1e3:.0f} ms of each do not count, and at "
            f"{rate_per_s:g}/s {_LEAST_REQUESTS} requests take {(least_s - settle_s) * 1e3:.0f} ms",
            hint=f"give --duration {2 * rounds * least_s:.1f}s, a higher --rate, or fewer --rounds",
        )
