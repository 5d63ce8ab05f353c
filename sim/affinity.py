"""On which cores we run: the parts together on one, Envoy and the probe wherever they like.

Handing a message from one of gRPC's threads to the event loop means waking a thread. If that thread's core sleeps, as
in a pipeline between two hops it does, waking it takes longer than the work: on one core a round trip over loopback
gRPC takes half the time that it takes on two (110 µs against 220 to 300).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_KNOWN = sys.platform == "linux"
#: What this process was allowed when it started, and its children are given.
_ALLOWED = frozenset(os.sched_getaffinity(0)) if _KNOWN else frozenset[int]()


_home = set(_ALLOWED)


@contextmanager
def on_one_core() -> Iterator[None]:
    """Keep this thread, and those that it starts, on one core while inside; does nothing where that is not known."""
    if len(_ALLOWED) < 2:
        yield
        return
    # Runs at the same time should not all choose the same core.
    _move({sorted(_ALLOWED)[os.getpid() % len(_ALLOWED)]})
    try:
        yield
    finally:
        _move(set(_ALLOWED))


@contextmanager
def on_every_core() -> Iterator[None]:
    """While a child process is started: it inherits what its parent may use at that moment."""
    if not _KNOWN:
        yield
        return
    os.sched_setaffinity(0, _ALLOWED)
    try:
        yield
    finally:
        # Not what it was before: two starts may overlap.
        os.sched_setaffinity(0, _home)


def _move(cores: set[int]) -> None:
    _home.clear()
    _home.update(cores)
    os.sched_setaffinity(0, cores)
