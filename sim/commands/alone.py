"""What the parts have in common when each runs by itself: a ready line, a log, an end on a signal."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from sim.commands.until_signal import run_async
from sim.errors import EnvironmentProblem, SimError
from sim.model import short_name
from sim.trace import Trace

if TYPE_CHECKING:
    from sim.trace import Event

#: What a part yields when it is ready: the fields of its ready line besides `part` and `ready`.
Ready = dict[str, Any]

#: Fields of an event that are said otherwise, or are its place in a run's trace.
_UNSAID = frozenset({"t_ns", "part", "event", "span_id", "type_url"})


def run_alone(
    part: str,
    start: Callable[[Trace], AbstractAsyncContextManager[Ready]],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> int:
    """Keep a part up until SIGINT or SIGTERM, then 0. Its events are its log, on stderr.

    On stdout comes one line of JSON once it is ready. Raises SimError when it can't be started.
    """
    # No collection in the middle of a rollout because of what was imported.
    gc.collect()
    gc.freeze()
    trace = Trace(keep=False)
    trace.listen(Log(part).event)

    async def up() -> None:
        async with start(trace) as ready:
            click.echo(json.dumps({"part": part, "ready": True, **ready}, ensure_ascii=False))
            sys.stdout.flush()
            await asyncio.get_running_loop().create_future()

    with own_errors(), suppress(asyncio.CancelledError):
        run_async(up(), loop_factory=loop_factory)
    return 0


class Log:
    """Lines of `key=value` on stderr. That nobody reads it is no reason to stop."""

    def __init__(self, part: str) -> None:
        import structlog

        self._logger: Any = structlog.wrap_logger(
            structlog.PrintLogger(sys.stderr),
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.LogfmtRenderer(key_order=["timestamp", "part", "event"]),
            ],
            part=part,
        )

    def event(self, event: Event) -> None:
        """An event of the trace; that something begins is not said."""
        if event.span == "started":
            return
        line = event.as_dict()
        line.update(line.pop("data", {}))
        fields = {name: _said(value) for name, value in line.items() if name not in _UNSAID}
        if event.type_url is not None:
            fields["type"] = short_name(event.type_url)
        self.say(event.event, **fields)

    def say(self, text: str, **fields: Any) -> None:
        """A line."""
        with suppress(OSError):
            self._logger.info(text, **fields)

    def problem(self, error: SimError) -> None:
        """What a user can mend, in the words that the command line would use."""
        with suppress(OSError):
            click.echo(f"ecdsim: {error}", err=True)


def _said(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


@contextmanager
def own_errors() -> Iterator[None]:
    """Raise the SimError that a task group wrapped as itself, and OSErrors as EnvironmentProblem."""
    try:
        yield
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        for leaf in leaves:
            if isinstance(leaf, SimError):
                raise leaf from group
        for leaf in leaves:
            if isinstance(leaf, OSError):
                raise _environment(leaf) from group
        raise
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _environment(error) from error


def _environment(error: OSError) -> EnvironmentProblem:
    return EnvironmentProblem(str(error), hint="see to it that the path can be written and has room")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


@asynccontextmanager
async def reminding(log: Log, text: str, *, after_s: float = 0.5, every_s: float = 5.0) -> AsyncIterator[None]:
    """Say what is being waited for, once it takes longer than `after_s` and again every `every_s`, while inside."""

    async def remind() -> None:
        await asyncio.sleep(after_s)
        while True:
            log.say(text)
            await asyncio.sleep(every_s)

    task = asyncio.create_task(remind(), name="remind")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
