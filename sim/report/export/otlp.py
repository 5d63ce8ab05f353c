"""A run's rollouts sent to an OpenTelemetry collector over OTLP/HTTP, in the JSON encoding.

Source: the OTLP specification, sections OTLP/HTTP Request and Response, and that of the exporters' environment
variables, of which `OTEL_EXPORTER_OTLP_HEADERS` is read here.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import aiohttp

from sim.errors import EnvironmentProblem, InvalidInput, Location
from sim.report.export.journey import Journey, journeys
from sim.report.export.otlp_span import encoded, key_values, span_id, trace_id
from sim.report.export.otlp_spans import RolloutSpans, registry_scheme
from sim.report.export.secrets import redaction_of
from sim.report.export.wall_clock import WallClock, wall_clock
from sim.report.html.redaction import Redaction
from sim.report.html.run_files import RunFiles

TRACES_PATH = "/v1/traces"
HEADERS_VARIABLE = "OTEL_EXPORTER_OTLP_HEADERS"
#: A request carries the spans of so many rollouts: some hundred kilobytes, where 20 MiB are the usual limit.
ROLLOUTS_A_REQUEST = 50
TIMEOUT_S = 10.0
#: The pauses before the second and the third try, where the collector does not name one.
PAUSES_S = (0.5, 1.0)
_LONGEST_PAUSE_S = 10.0
_TRY_AGAIN = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RolloutTrace:
    """One rollout's trace: `resource_spans` are ready to be sent."""

    trace_id: str
    journey: Journey
    resource_spans: list[dict[str, Any]]


def rollout_traces(run: RunFiles) -> list[RolloutTrace]:
    """A trace for each rollout, secrets taken out. The same run always gives the same ids.

    Raises InvalidInput when the run has none, or does not tell when it was.
    """
    found = journeys(run)
    if not found:
        raise InvalidInput(
            "this run has no rollout that could be sent",
            where=Location(str(run.directory)),
            hint="a rollout begins with a WasmPlugin that is applied, and trace.jsonl tells of it",
        )
    clock = wall_clock(run)
    if clock is None:
        raise InvalidInput(
            "this run does not tell when it was, which spans have to",
            where=Location(str(run.directory)),
            hint="its directory lost its name (scenario-20250101T100000Z), or its trace.jsonl",
        )
    scheme, redaction = registry_scheme(run), redaction_of(run)
    return [_trace(run, journey, scheme, clock, redaction) for journey in found]


def traces_url(base: str) -> str:
    """Where traces go: the base URL and `/v1/traces`, unless it is there already.

    Raises InvalidInput for what is no URL of HTTP.
    """
    wrong = InvalidInput(
        f"--otlp: {base!r} is no URL of an OTLP/HTTP collector", hint="write for instance http://127.0.0.1:4318"
    )
    try:
        url = urlsplit(base)
        if url.scheme not in ("http", "https") or not url.hostname or url.port == 0:
            raise wrong
    except ValueError:
        raise wrong from None
    path = url.path.rstrip("/")
    if not path.endswith(TRACES_PATH):
        path += TRACES_PATH
    return urlunsplit(url._replace(path=path))


def headers_from(environment: Mapping[str, str]) -> dict[str, str]:
    """What `OTEL_EXPORTER_OTLP_HEADERS` adds: `key=value`, separated by commas, values percent-encoded.

    Raises InvalidInput for anything else.
    """
    found = {}
    for pair in environment.get(HEADERS_VARIABLE, "").split(","):
        key, separator, value = pair.strip().partition("=")
        if not pair.strip():
            continue
        name, content = unquote(key.strip()), unquote(value.strip())
        if not separator or not name or not (name + content).isprintable():
            # The value may be a password: it is not repeated.
            raise InvalidInput(
                f"{HEADERS_VARIABLE} is not of the form key=value,key=value",
                hint="commas and blanks within a value are percent-encoded, for instance Bearer%20abc",
            )
        found[name] = content
    return found


async def send_traces(
    traces: Sequence[RolloutTrace],
    base_url: str,
    headers: Mapping[str, str] | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
    pauses_s: Sequence[float] = PAUSES_S,
) -> int:
    """Send them all; how many spans the collector took.

    What it may take a little later (429, 502, 503, 504) is sent again. Raises InvalidInput for a URL that is none,
    EnvironmentProblem when nobody answers or spans are refused.
    """
    url = traces_url(base_url)
    sent = 0
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with aiohttp.ClientSession(timeout=timeout, headers=dict(headers or {})) as session:
        for start in range(0, len(traces), ROLLOUTS_A_REQUEST):
            spans = [each for trace in traces[start : start + ROLLOUTS_A_REQUEST] for each in trace.resource_spans]
            body = json.dumps({"resourceSpans": spans}, ensure_ascii=False).encode()
            await _post(session, url, body, pauses_s)
            sent += sum(len(scope["spans"]) for each in spans for scope in each["scopeSpans"])
    return sent


async def _post(session: aiohttp.ClientSession, url: str, body: bytes, pauses_s: Sequence[float]) -> None:
    shown = _without_credentials(url)
    pauses = iter(pauses_s)
    while True:
        try:
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
                said = await answer.text(errors="replace")
                status, wait = answer.status, answer.headers.get("Retry-After", "")
        except TimeoutError as error:
            raise EnvironmentProblem(f"the collector at {shown} did not answer in time", hint=_HINT) from error
        except (aiohttp.ClientError, OSError) as error:
            raise EnvironmentProblem(f"no collector answers at {shown}: {_why(error)}", hint=_HINT) from error
        if status in _TRY_AGAIN and (pause_s := next(pauses, None)) is not None:
            await asyncio.sleep(min(float(wait), _LONGEST_PAUSE_S) if wait.isdecimal() else pause_s)
            continue
        _check(shown, status, said)
        return


_HINT = "is an OTLP/HTTP receiver listening there? Its port is 4318 as a rule; 4317 is that of OTLP over gRPC"
_HINTS = {
    401: f"the credentials go into {HEADERS_VARIABLE}, for instance Authorization=Bearer%20abc",
    403: f"the credentials go into {HEADERS_VARIABLE}, for instance Authorization=Bearer%20abc",
    404: f"the URL is the collector's base, to which {TRACES_PATH} is added",
    415: "the receiver has to take OTLP in JSON",
}


def _check(url: str, status: int, said: str) -> None:
    """Raises EnvironmentProblem unless everything was taken."""
    if status // 100 != 2:
        first = said.strip().partition("\n")[0][:200]
        told = f": {first}" if first else ""
        raise EnvironmentProblem(f"the collector at {url} answers {status}{told}", hint=_HINTS.get(status, _HINT))
    refused, why = _partial_success(said)
    if refused:
        raise EnvironmentProblem(
            f"the collector at {url} refused {refused} spans: {why or 'no reason given'}",
            hint="its own log may say more; what was not refused is there",
        )


def _partial_success(said: str) -> tuple[int, str]:
    """How many spans an ExportTraceServiceResponse refuses, and why; a receiver may also answer with nothing."""
    try:
        partial = json.loads(said)["partialSuccess"]
        return int(partial.get("rejectedSpans", 0)), str(partial.get("errorMessage", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0, ""


def _why(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number is not None and number > 0 else str(error) or type(error).__name__


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


def _trace(run: RunFiles, journey: Journey, scheme: str, clock: WallClock, redaction: Redaction) -> RolloutTrace:
    spans = RolloutSpans(run, journey, scheme).spans
    result = run.result
    began_ns = clock.ns(run.events[0].t_ns)
    trace = trace_id(began_ns, result.scenario, journey.number, journey.rollout.plugin)
    ids = {id(span): span_id(trace, position) for position, span in enumerate(spans)}
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for span in spans:
        made = redaction.data(encoded(span, trace, ids, clock.offset_ns))
        grouped.setdefault((span.service, span.instance), []).append(made)
    common = {
        "service.namespace": "ecdsim",
        "ecdsim.scenario": result.scenario,
        "ecdsim.profile": result.profile,
        "ecdsim.run": run.directory.resolve().name,
    }
    scope = {"name": "ecdsim", "version": result.environment.ecdsim}
    return RolloutTrace(
        trace,
        journey,
        [
            {
                "resource": {"attributes": key_values({**_service(service, instance), **common})},
                "scopeSpans": [{"scope": scope, "spans": own}],
            }
            for (service, instance), own in grouped.items()
        ],
    )


def _service(service: str, instance: str) -> dict[str, str | None]:
    name = service if service == "ecdsim" else f"ecdsim-{service}"
    return {"service.name": name, "service.instance.id": instance or None}


def summary_lines(traces: Sequence[RolloutTrace]) -> Iterator[str]:
    """Under which trace id each rollout is to be found."""
    for each in traces:
        place = f" at {each.journey.rollout.gateway}" if each.journey.rollout.gateway else ""
        yield f"{each.trace_id}  rollouts[{each.journey.number}] {each.journey.rollout.plugin}{place}"
