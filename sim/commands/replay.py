"""`ecdsim replay`: one side of a recorded hop, played to the other."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sim.commands import statuses
from sim.commands.addresses import check_free, envoy_listen_address
from sim.commands.output import output_choice, reading_may_end, write_data
from sim.commands.until_signal import run_async
from sim.commands.values import positive_duration_s
from sim.errors import EnvironmentProblem, InvalidInput

if TYPE_CHECKING:
    from sim.commands.addresses import Address, UnixAddress
    from sim.scenario.replay import Difference, Pace, Script

_WITHIN_S = 10.0
_OURS = ("core-discovery", "discovery-agent")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--hop",
    required=True,
    type=click.Choice(["core-discovery", "discovery-agent", "agent-envoy"]),
    help="Which hop, as it was recorded by ecdsim run --record.",
)
@click.option(
    "--listen",
    type=envoy_listen_address,
    metavar="ADDRESS",
    help="Play the server's side to whoever connects here: Core's to a Discovery, Discovery's to an agent, ….",
)
@click.option(
    "--to",
    metavar="ADDRESS",
    help="Play the client's side to the server that listens here: an agent's to a Discovery, Envoy's to an agent.",
)
@click.option(
    "--speed",
    default="1",
    show_default=True,
    metavar="N|max",
    help="How many times as fast as it was; max: no waiting.",
)
@click.option(
    "--within",
    type=positive_duration_s,
    help="At most so long for what must come; with --listen, for a client too, which is waited for without it.  "
    "[default: 10s]",
)
@output_choice("table", "json", "yaml")
def replay(
    run: Path,
    hop: str,
    listen: Address | UnixAddress | None,
    to: str | None,
    speed: str,
    within: float | None,
    output: str,
) -> int:
    """Play one side of a hop that a RUN has recorded, and report the first difference of what the other side says.

    Without --listen and --to the other side is our own Discovery, fed with what it was fed in the run: it has to ask
    Core the same, and to send the agent the same. Nonces and versions, which differ from run to run, do not count,
    nor does the order of messages of different types. Exits with 0 when all is as it was, 1 when it is not.
    """
    from sim.scenario.recording import read_recording, recording_path
    from sim.scenario.replay import Pace, scripts

    if listen is not None and to is not None:
        raise InvalidInput("--listen and --to together", hint="play one side: --listen the server's, --to the client's")
    pace = Pace(_speed(speed), _WITHIN_S if within is None else within)
    if not run.is_dir():
        raise InvalidInput(f"there is no run directory {run}", hint="name one that ecdsim run --record has made")
    recorded = scripts(read_recording(recording_path(run, hop)))
    if listen is not None:
        check_free("replay", listen)
        found = run_async(_serve(recorded, str(listen), pace, bounded=within is not None))
    elif to is not None:
        found = run_async(_ask(recorded, to, pace))
    elif hop == "discovery-agent" and pace.speed is None:
        raise InvalidInput(
            "--speed max: what Core and the agents say would lose its order", hint="write a number, such as 4"
        )
    elif hop in _OURS:
        found = run_async(_ours(run, hop, recorded, pace))
    else:
        raise InvalidInput(
            f"{hop} has no side that can be started by itself",
            hint="write --listen, and start Envoy with its xDS there; or --to, and start ecdsim agent there",
        )
    with reading_may_end():
        if output == "table":
            _print(found, hop, len(recorded))
        else:
            write_data(
                {"hop": hop, "streams": len(recorded), "differences": [each.as_json() for each in found]}, output
            )
    return statuses.FAILED if found else statuses.PASSED


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise InvalidInput(f"--speed: {text!r} is no speed", hint="write a number such as 2 or 0.5, or max")
    return speed


async def _serve(recorded: list[Script], listen: str, pace: Pace, *, bounded: bool) -> list[Difference]:
    """`bounded`: a client that does not come in time is an EnvironmentProblem; else it is waited for."""
    from sim.scenario.replay import play_server

    async with play_server(recorded, listen, pace) as played:
        click.echo(json.dumps({"part": "replay", "ready": True, "listen": played.address}), err=True)
        try:
            async with asyncio.timeout(pace.within_s if bounded else None):
                await played.begun.wait()
            async with asyncio.timeout(_length_s(recorded, pace) if bounded else None):
                await played.done.wait()
        except TimeoutError:
            missing = f"{played.unasked} of {len(recorded)} streams were not asked for"
            raise EnvironmentProblem(
                missing if played.begun.is_set() else f"nobody connected to {played.address}",
                hint="start the client, or give it more time by --within",
            ) from None
        return played.differences


async def _ask(recorded: list[Script], to: str, pace: Pace) -> list[Difference]:
    import grpc.aio

    from sim.scenario.replay import play_client

    found: list[Difference] = []
    try:
        async with asyncio.timeout(_length_s(recorded, pace)):
            found = await play_client(recorded, to, pace)
    except* TimeoutError:
        raise EnvironmentProblem(f"nothing answers at {to}", hint="start the server first") from None
    except* grpc.aio.AioRpcError as errors:
        first = errors.exceptions[0]
        assert isinstance(first, grpc.aio.AioRpcError)
        raise EnvironmentProblem(
            f"the server at {to} ended a stream: {first.code().name}: {first.details()}", hint="look at its log"
        ) from None
    return found


def _length_s(recorded: list[Script], pace: Pace) -> float:
    """The longest that it can take: each message as it was, and the patience for each."""
    lines = [line for script in recorded for line in script.lines]
    recorded_s = (max(line.t_ns for line in lines) - min(line.t_ns for line in lines)) / 1e9 if lines else 0
    return (0 if pace.speed is None else recorded_s / pace.speed) + pace.within_s * (len(lines) + 1)


async def _ours(run: Path, hop: str, recorded: list[Script], pace: Pace) -> list[Difference]:
    """Our Discovery between the recorded Core and, where that hop is asked for, the recorded agents."""
    from sim.discovery import DebounceTimes, DiscoveryOptions, discovery
    from sim.profiles import load_profile
    from sim.scenario.recording import read_recording, recording_path
    from sim.scenario.replay import play_client, play_server, scripts
    from sim.trace import Trace

    facts = _facts(run)
    debounce = DebounceTimes() if pace.speed is not None else DebounceTimes(after_s=0.02)
    core_side = recorded if hop == "core-discovery" else scripts(read_recording(recording_path(run, "core-discovery")))
    async with AsyncExitStack() as stack:
        played = await stack.enter_async_context(play_server(core_side, "127.0.0.1:0", pace))
        options = DiscoveryOptions(load_profile(facts["profile"]), played.address, debounce=debounce)
        try:
            async with asyncio.timeout(pace.within_s):
                part = await stack.enter_async_context(discovery(options, Trace(keep=False)))
        except TimeoutError:
            # It asks Core for something else than was recorded, and waits for the answer.
            await played.done.wait()
            if played.differences:
                return played.differences
            raise EnvironmentProblem(
                f"our Discovery did not get all that it asks Core for within {pace.within_s:g} s",
                hint="give it more time by --within; or the recording does not reach back to Core's first answers",
            ) from None
        if hop == "discovery-agent":
            return await play_client(recorded, part.address, pace)
        await played.done.wait()
        return played.differences


def _facts(run: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads((run / "result.json").read_text(encoding="utf-8"))
        return {"profile": str(facts["profile"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{run / 'result.json'}: {error}", hint="name a run directory that is whole") from error


def _print(found: list[Difference], hop: str, streams: int) -> None:
    if not found:
        click.echo(f"{hop}: {streams} {'stream' if streams == 1 else 'streams'}, nothing differs")
        return
    for each in found:
        click.echo(f"{hop}, stream {each.stream}: {each.message}")
        click.echo(f"  at        {each.path}")
        click.echo(f"  recorded  {_short(each.recorded)}")
        click.echo(f"  now       {_short(each.actual)}")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 400 else f"{text[:400]} …"
