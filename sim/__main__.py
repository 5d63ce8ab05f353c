"""The entry point. It imports nothing before it can be interrupted in good order."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line and leave with its exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    # A shell's background job has SIGINT ignored, and Python leaves it so; the event loop will take it either way.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        from sim.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run())


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Until the event loop takes signals over, SIGTERM is as good as Ctrl-C."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
