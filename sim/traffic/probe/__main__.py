"""`python -m sim.traffic.probe`: open-loop HTTP/1.1 traffic, told by JSON lines, telling by JSON lines.

Standard input: the configuration first (see `Settings`), then `{"do":"rate","rate_per_s":…}` and `{"do":"stop"}`,
which lets requests in flight end and writes the totals. Its end means that the parent is gone: the probe leaves
at once.

Standard output: `{"opened":…}`, `{"signature":[number,status,headers,body in base64]}`, `{"samples":[row,…]}` (see
`output.Row`), `{"broken":…}`, `{"drained":…}`, `{"closed":…}`, `{"refused":…}` and at last `{"summary":…}`.
Times are nanoseconds on CLOCK_MONOTONIC.
"""

from __future__ import annotations

import asyncio
import gc
import io
import json
import selectors
import sys

from sim.traffic.probe.output import Output
from sim.traffic.probe.run import Run
from sim.traffic.probe.settings import Settings

#: select(2) takes microseconds where epoll_wait(2) takes milliseconds, but knows only 1024 descriptors.
SELECT_CONNECTIONS = 256


async def obey(run: Run, control: asyncio.StreamReader, output: Output) -> None:
    """Serve until told to stop, or until there is nobody left to tell."""
    serving = asyncio.create_task(run.serve(), name="serve")
    serving.add_done_callback(lambda _: control.feed_eof())
    try:
        while True:
            line = await control.readline()
            if not line:
                return
            command = json.loads(line)
            if command["do"] == "rate":
                run.change_rate(float(command["rate_per_s"]))
            elif command["do"] == "stop":
                finishing = asyncio.create_task(run.finish(), name="finish")
                gone = asyncio.create_task(control.read(), name="control")
                await asyncio.wait({finishing, gone}, return_when=asyncio.FIRST_COMPLETED)
                finishing.cancel()
                gone.cancel()
                await asyncio.gather(finishing, gone, return_exceptions=True)
                run.summarise()
                output.close()
                await output.closed
                return
    finally:
        if not serving.cancel():
            serving.result()
        await asyncio.wait({serving})


async def main(settings: Settings) -> None:
    """Run with `settings`, which were read already; the rest of standard input are commands."""
    loop = asyncio.get_running_loop()
    control = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(control), sys.stdin)
    output = await Output.on_stdout()
    # A reader that closed its end is as gone as one that closed ours.
    output.closed.add_done_callback(lambda _: control.feed_eof())
    # Nothing that exists by now will ever be garbage: the collector need not look at it between two requests.
    gc.freeze()
    await obey(Run(settings, output), control, output)


def start() -> int:
    """The process: its exit status is 2 for a configuration that can't be used."""
    # Unbuffered, so that the commands after the first line are left for the event loop.
    with io.FileIO(sys.stdin.fileno(), closefd=False) as unbuffered:
        line = unbuffered.readline()
    if not line:
        return 0
    try:
        settings = Settings.from_line(line)
    except (ValueError, TypeError, AttributeError) as error:
        sys.stderr.write(f"the probe can't use its configuration: {error}\n")
        return 2
    selector = selectors.SelectSelector() if settings.connections <= SELECT_CONNECTIONS else selectors.DefaultSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(main(settings))
    return 0


if __name__ == "__main__":
    sys.exit(start())
