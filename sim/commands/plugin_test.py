"""`ecdsim plugin test`: a plugin in an Envoy of its own, with a few requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sim.commands import statuses
from sim.commands.asked_requests import asked_header, asked_request
from sim.commands.output import output_option, reading_may_end, write_data
from sim.commands.plugin_options import RegistryOptions, registry_options
from sim.commands.until_signal import run_async
from sim.commands.values import positive_duration_s
from sim.errors import InvalidInput

if TYPE_CHECKING:
    from sim.envoy import EnvoyBinary
    from sim.plugin.examine import Examined
    from sim.plugin.trial import Answered, Outcome, PluginRefused, Trial
    from sim.plugin.trial_log import LogEntry


@click.command()
@click.argument("what", metavar="FILE|REF")
@click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path),
    help="The plugin's configuration, YAML or JSON, _rules_ too; or a WasmPlugin, of which Core makes it.",
)
@click.option(
    "--request",
    "-r",
    "requests",
    multiple=True,
    metavar="'METHOD PATH'",
    help="A request; instead of the path also http://HOST/PATH. Repeatable.  [default: GET /]",
)
@click.option("--header", "-H", "headers", multiple=True, metavar="'NAME: VALUE'", help="For all requests; repeatable.")
@click.option("--data", "-d", metavar="TEXT", help="The body of all requests.")
@click.option(
    "--expect-status",
    "expected",
    multiple=True,
    type=click.IntRange(100, 599),
    help="Exit with 1 unless this is the status: given once for all requests, or once for each.",
)
@click.option("--route", default="default", show_default=True, help="The route's name, for rules by ingress.")
@click.option(
    "--cluster",
    default="outbound|80||echo.static",
    show_default=True,
    help="The upstream cluster's name, for rules by service.",
)
@click.option("--envoy", metavar="PATH", help="The Envoy binary (default: $ENVOY, else the packaged one).")
@click.option(
    "--timeout",
    type=positive_duration_s,
    metavar="DURATION",
    default="10s",
    show_default=True,
    help="For each request.",
)
@click.option(
    "--start-timeout",
    type=positive_duration_s,
    metavar="DURATION",
    default="60s",
    show_default=True,
    help="Until the plugin is up: Envoy compiles it first. A longer --timeout counts here too.",
)
@click.option(
    "--abi-shim",
    type=click.Choice(("auto", "off")),
    default="auto",
    show_default=True,
    help="Whether a module of Higress' ABI is renamed, so that stock Envoy takes it.",
)
@output_option
@registry_options
def test(
    what: str,
    config: Path | None,
    requests: tuple[str, ...],
    headers: tuple[str, ...],
    data: str | None,
    expected: tuple[int, ...],
    route: str,
    cluster: str,
    envoy: str | None,
    timeout: float,
    start_timeout: float,
    abi_shim: str,
    output: str,
    registry: RegistryOptions,
) -> int:
    """Run a plugin in one Envoy, send it requests, and print the answers with what the plugin logged.

    The filter is static, without control plane; behind it an upstream answers 200 and tells in JSON what arrived. A
    module that stock Envoy knows only under the ABI shim gets it. Exits with 1 when Envoy or the plugin refuses the
    start, when a request gets no answer, when the plugin's VM crashes, and when a status is not the expected one. FILE
    may also be the name of a bundled plugin, such as request-block.
    """
    from sim.plugin.configuration import Configuration, read_configuration
    from sim.plugin.trial import PluginRefused, Trial
    from sim.plugin.trial_bootstrap import Surroundings

    for option, value in (("--route", route), ("--cluster", cluster)):
        if not value:
            raise InvalidInput(f"{option} is empty", hint="give it a name, or leave it out")
    given = tuple(asked_header(text) for text in headers)
    asked = tuple(asked_request(text, given, data) for text in requests or ("GET /",))
    wanted = _statuses(expected, len(asked))
    configuration = Configuration() if config is None else read_configuration(config)

    def trial(module: bytes) -> Trial:
        return Trial(
            module,
            configuration,
            asked,
            Surroundings(route, cluster),
            timeout,
            max(start_timeout, timeout),
            abi_shim == "auto",
        )

    examined, outcome, binary = run_async(_run(what, registry, envoy, trial))
    if isinstance(outcome, PluginRefused):
        _say_refusal(outcome)
        return statuses.FAILED
    if outcome is None:
        from sim.commands.plugin_inspect import say_problems

        say_problems(examined.problems)
        return statuses.FAILED
    with reading_may_end():
        if output == "table":
            for line in _lines(examined, outcome, binary, wanted):
                click.echo(line)
        else:
            write_data(_data(examined, outcome, binary, wanted), output)
    if outcome.crash is not None:
        click.echo(
            f"the plugin's VM crashed {outcome.crash}\n"
            "  hint: Envoy answers every request with 503 after that, unless the plugin is FAIL_OPEN; mend the plugin",
            err=True,
        )
        return statuses.FAILED
    met = all(answer.status in allowed for answer, allowed in zip(outcome.answers, wanted, strict=True))
    return statuses.PASSED if met else statuses.FAILED


async def _run(
    what: str, registry: RegistryOptions, envoy: str | None, trial: Any
) -> tuple[Examined, Outcome | PluginRefused | None, EnvoyBinary]:
    """What became of it: None where there is no module that could be tried."""
    from sim.commands.plugin_inspect import examine
    from sim.envoy import find_envoy, probe_envoy
    from sim.plugin.trial import PluginRefused, run_trial
    from sim.wasm.inspect import SLOW_CODE_BYTES

    examined = await examine(what, registry)
    binary = await probe_envoy(find_envoy(envoy))
    if examined.content is None or examined.module is None:
        return examined, None, binary
    tried: Trial = trial(examined.content)
    if examined.module.loads_on.verdict == "with shim" and tried.shim:
        click.echo(f"note: {examined.module.loads_on.why}; the shim is applied", err=True)
    _say_rule_doubts(tried)
    code_bytes = examined.module.code_bytes
    if code_bytes > SLOW_CODE_BYTES:
        click.echo(
            f"note: Envoy compiles {code_bytes / 1e6:.1f} MB of code first; that takes seconds, on a slow or busy "
            "machine half a minute",
            err=True,
        )
    try:
        return examined, await run_trial(tried, binary), binary
    except PluginRefused as refused:
        return examined, refused, binary


def _say_rule_doubts(trial: Trial) -> None:
    import json

    from sim.wasm import parse
    from sim.wasm.rule_doubts import HINT, rule_doubts

    text = trial.configuration.text
    doubt = rule_doubts(parse(trial.module), json.loads(text)) if text else None
    if doubt is not None:
        click.echo(f"WARNING: {doubt}\n  hint: {HINT}", err=True)


def _statuses(expected: tuple[int, ...], requests: int) -> list[frozenset[int]]:
    """For each request what its status may be; without an expectation any."""
    if not expected:
        return [frozenset(range(100, 600))] * requests
    if len(expected) == 1:
        expected *= requests
    if len(expected) != requests:
        raise InvalidInput(
            f"there are {requests} requests, and --expect-status {len(expected)} times",
            hint="give it once for all, or once for each",
        )
    return [frozenset({status}) for status in expected]


def _say_refusal(refused: PluginRefused) -> None:
    from sim.plugin.trial_log import LogEntry

    for line in _log_lines([entry for entry in refused.log if isinstance(entry, LogEntry) and entry.of_plugin]):
        click.echo(line.strip(), err=True)
    click.echo(f"{refused}", err=True)


def _lines(
    examined: Examined, outcome: Outcome, binary: EnvoyBinary, wanted: Sequence[frozenset[int]]
) -> Iterator[str]:
    shim = ", under the ABI shim" if outcome.shim else ""
    yield f"{examined.name} in Envoy {binary.version}{shim}, ready after {outcome.ready_ms / 1e3:.2f} s"
    yield from _log_lines(outcome.start_log)
    for answer, allowed in zip(outcome.answers, wanted, strict=True):
        yield ""
        yield from _answer(answer, allowed)


def _answer(answer: Answered, allowed: frozenset[int]) -> Iterator[str]:
    if answer.status is None:
        yield f"{answer.asked} → {answer.error}"
    else:
        unmet = "" if answer.status in allowed else f"   ✗ expected {', '.join(map(str, allowed))}"
        yield f"{answer.asked} → {answer.status} {_phrase(answer.status)} ({answer.duration_ms:.1f} ms){unmet}"
    for name, value in answer.headers:
        yield f"  {name}: {value}"
    body = answer.body.decode(errors="replace")
    for line in body.splitlines():
        yield f"  │ {line}"
    yield from _log_lines(answer.log)


def _log_lines(entries: Sequence[LogEntry]) -> Iterator[str]:
    """One line for the same thing said several times in a row, as each of Envoy's threads does at the start."""
    for (level, text), same in groupby(entries, key=lambda entry: (entry.level, entry.shown)):
        count = len(list(same))
        first, *more = text.split("\n")
        yield f"  [{level}] {first}{f' (×{count})' if count > 1 else ''}"
        for line in more:
            yield f"      {line}"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _data(
    examined: Examined, outcome: Outcome, binary: EnvoyBinary, wanted: Sequence[frozenset[int]]
) -> dict[str, Any]:
    from sim.plugin.trial import answers_as_data

    answers = answers_as_data(outcome)
    for data, answer, allowed in zip(answers, outcome.answers, wanted, strict=True):
        data["as_expected"] = answer.status in allowed
    return {
        "name": examined.name,
        "envoy": binary.version,
        "shim": outcome.shim,
        "ready_ms": round(outcome.ready_ms, 3),
        "crash": outcome.crash,
        "start_log": [entry.as_dict() for entry in outcome.start_log],
        "answers": answers,
    }
