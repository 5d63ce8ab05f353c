"""One direction of one connection: bytes in, the faults' effects on them, bytes out when they are due."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable

from sim.scenario.faults.active import ActiveFault, Direction
from sim.scenario.faults.network.effect import Effect, End, Piece, Toxic

_READ_BYTES = 64 * 1024
#: So much may wait for being sent, so that a latency is no limit of bandwidth; then reading stops.
_MOST_WAITING_BYTES = 4 * 1024 * 1024


class ConnectionOver(Exception):
    """The whole connection ends, by `end`."""

    def __init__(self, end: End) -> None:
        super().__init__(end.value)
        self.end = end


class _Stage:
    """A fault at work on this direction; it tells of itself once, when it first changes something."""

    def __init__(self, fault: ActiveFault[Toxic], effect: Effect, connection: int) -> None:
        self.effect = effect
        self._fault = fault
        self._connection = connection
        self._told = False

    def through(self, pieces: Iterable[Piece]) -> list[Piece]:
        """What becomes of `pieces`. Nothing follows an end."""
        out: list[Piece] = []
        for piece in pieces:
            if piece.end is None:
                made = self.effect.data(piece.data, piece.due_s)
            else:
                made = self.effect.end(piece.end, piece.due_s)
            if tuple(made) != (piece,):
                self.tell()
            out += made
            if out and out[-1].end is not None:
                break
        return out

    def tell(self) -> None:
        if not self._told:
            self._told = True
            self._fault.hit(connection=self._connection, direction=self._fault.stream)


class Flow:
    """Carries bytes from `source` to `target`. `read` and `send` are to run side by side.

    Without faults a chunk is written by whoever read it. With faults it waits until it is due; a fault that comes or
    goes meanwhile counts for what waits, too: what a cleared fault held back leaves at once, as in Toxiproxy.
    """

    def __init__(
        self, direction: Direction, source: asyncio.StreamReader, target: asyncio.StreamWriter, connection: int
    ) -> None:
        self.direction = direction
        self._source = source
        self._target = target
        self._connection = connection
        self._clock = asyncio.get_running_loop().time
        self._stages: dict[str, _Stage] = {}
        #: Read, with the time of its arrival, and not yet given to the faults.
        self._waiting: deque[Piece] = deque()
        self._waiting_bytes = 0
        #: What became of the chunk that is being sent.
        self._pieces: deque[Piece] = deque()
        self._idle = True
        self._closes = False
        self._target_lost = False
        self._room = asyncio.Event()
        self._wake = asyncio.Event()

    # -- faults come and go ------------------------------------------------------------------------------------

    def add(self, fault: ActiveFault[Toxic], effect: Effect) -> None:
        """Let a fault act, last in the row."""
        stage = self._stages[fault.name] = _Stage(fault, effect, self._connection)
        now_s = self._clock()
        self._pieces = deque(stage.through([Piece(max(p.due_s, now_s), p.data, p.end) for p in self._pieces]))
        self._wake.set()

    def remove(self, name: str) -> None:
        """End a fault's work, if it works here."""
        stage = self._stages.pop(name, None)
        if stage is None:
            return
        self._closes = self._closes or stage.effect.closes_when_cleared
        # The end of the connection that a fault decided on is not called back: bytes were lost for it.
        self._pieces = deque(
            piece if piece.end in (End.CLOSE, End.RESET) else Piece(0.0, piece.data, piece.end)
            for piece in self._pieces
        )
        self._wake.set()

    # -- in ----------------------------------------------------------------------------------------------------

    async def read(self) -> None:
        """Read until the source ends."""
        while True:
            try:
                data = await self._source.read(_READ_BYTES)
            except OSError:
                self._put(Piece(self._clock(), end=End.RESET))
                return
            if not data:
                self._put(Piece(self._clock(), end=End.EOF))
                return
            if self._idle and not self._stages:
                await self._write(data)
                continue
            self._put(Piece(self._clock(), data))
            while self._waiting_bytes > _MOST_WAITING_BYTES:
                self._room.clear()
                await self._room.wait()

    def _put(self, piece: Piece) -> None:
        self._idle = False
        self._waiting.append(piece)
        self._waiting_bytes += len(piece.data)
        self._wake.set()

    # -- out ---------------------------------------------------------------------------------------------------

    async def send(self) -> None:
        """Send what was read until the end was passed on. Raises ConnectionOver where more ends than this way."""
        while True:
            self._check()
            if self._pieces:
                piece = self._pieces[0]
                if piece.due_s > self._clock():
                    await self._until(piece.due_s)
                    continue
                self._pieces.popleft()
                if piece.end is not None:
                    await self._finish(piece.end)
                    return
                await self._write(piece.data)
            elif self._waiting:
                chunk = self._waiting.popleft()
                self._waiting_bytes -= len(chunk.data)
                self._room.set()
                pieces = [chunk]
                for stage in self._stages.values():
                    pieces = stage.through(pieces)
                self._pieces = deque(pieces)
            else:
                self._idle = True
                await self._until(None)

    def _check(self) -> None:
        now_s = self._clock()
        for stage in self._stages.values():
            if stage.effect.closes_at_s is not None and stage.effect.closes_at_s <= now_s:
                stage.tell()
                self._closes = True
        if self._closes:
            raise ConnectionOver(End.CLOSE)

    async def _until(self, due_s: float | None) -> None:
        """Until then, or until something changes."""
        times = [stage.effect.closes_at_s for stage in self._stages.values()]
        first_s = min((time_s for time_s in (due_s, *times) if time_s is not None), default=None)
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(first_s):
                await self._wake.wait()

    async def _write(self, data: bytes) -> None:
        if self._target_lost:
            return
        self._target.write(data)
        try:
            await self._target.drain()
        except OSError:
            # Who reads from the target hears of it too, and ends the connection.
            self._target_lost = True

    async def _finish(self, end: End) -> None:
        if end is not End.EOF:
            raise ConnectionOver(end)
        if not self._target_lost and self._target.can_write_eof():
            with contextlib.suppress(OSError):
                self._target.write_eof()
