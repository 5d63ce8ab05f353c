"""What a network fault does to one direction of one connection, decided synchronously: bytes and times in and out."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from sim.scenario.faults.kind import Family, FaultKind


class End(Enum):
    """How a stream of bytes ends."""

    EOF = "eof"  # no more bytes this way; the other way may go on
    CLOSE = "close"  # the whole connection, after what was sent
    RESET = "reset"  # the whole connection, at once, with RST where the transport has one


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes, or the end, that leave not before `due_s`."""

    due_s: float
    data: bytes = b""
    end: End | None = None


class Effect:
    """A fault at work; this one lets everything pass. Times are seconds on one clock that only moves forward.

    Each method gives what comes out for what went in at `at_s`, in order; bytes that are left out are lost.
    """

    #: When the connection closes, whatever is sent; None: not by itself.
    closes_at_s: float | None = None
    #: Whether the connection closes when the fault is cleared, because bytes are missing from it.
    closes_when_cleared: bool = False

    def data(self, data: bytes, at_s: float) -> Sequence[Piece]:
        return (Piece(at_s, data),)

    def end(self, end: End, at_s: float) -> Sequence[Piece]:
        return (Piece(at_s, end=end),)


class NetworkFault(FaultKind):
    """A fault of a link's bytes."""

    family: ClassVar[Family] = "network"


class Toxic(NetworkFault, ABC):
    """A network fault of single connections, in one direction, by Toxiproxy's name and with its attributes."""

    per_connection: ClassVar[bool] = True

    @abstractmethod
    def effect(self, lots: random.Random, now_s: float) -> Effect:
        """What it does to one direction of one connection from now on. `lots` are that connection's own."""
