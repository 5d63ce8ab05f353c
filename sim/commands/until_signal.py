"""The event loop of a command: SIGINT, SIGTERM and SIGHUP end it, and everything is still taken down in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from sim.clock import precise_loop

_T = TypeVar("_T")
#: SIGHUP is what a closed terminal or a lost connection sends.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _heeded() -> list[signal.Signals]:
    """Those that whoever started us has not told us to ignore, as nohup does with SIGHUP."""
    return [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def run_async(
    main: Coroutine[Any, Any, _T], *, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = precise_loop
) -> _T:
    """Run to the end, or until a signal; then `main` is cancelled, and CancelledError raised once it has ended.

    A second signal changes nothing: what is being taken down is bounded in time, and cutting it short would leave
    processes behind. `loop_factory` None is asyncio's own choice, for a process with many open files.
    """

    async def supervised() -> _T:
        task = asyncio.ensure_future(main)
        loop = asyncio.get_running_loop()
        heeded = _heeded()
        for number in heeded:
            loop.add_signal_handler(number, task.cancel)
        try:
            return await task
        finally:
            for number in heeded:
                loop.add_signal_handler(number, lambda: None)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(supervised())


async def until_signal() -> None:
    """Returns at the first of the signals: for what ends by one in good order. A second one changes nothing."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in _heeded():
        loop.add_signal_handler(number, asked.set)
    await asked.wait()
