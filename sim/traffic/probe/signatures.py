"""What tells one response from another, numbered, so that a sample needs only the number."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from sim.traffic.probe.settings import VOLATILE_HEADERS

#: How many signatures of one degree of detail are told apart.
LIMIT = 1000
#: How much of a body a signature carries; all of it takes part in the comparison.
BODY_PREFIX_BYTES = 256

_VOLATILE = frozenset(name.encode() for name in VOLATILE_HEADERS)

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class Answer:
    """A response as it is read: its status, its lasting headers, its body as a prefix and a checksum."""

    status: int
    headers: Headers
    body: bytes = b""
    checksum: int = 0

    @classmethod
    def of(cls, status: int, headers: Iterable[tuple[bytes, bytes]]) -> Answer:
        return cls(status, tuple((name, value) for name, value in headers if name not in _VOLATILE))

    def add(self, data: bytes | bytearray) -> None:
        """Take the next piece of the body."""
        if len(self.body) < BODY_PREFIX_BYTES:
            self.body += bytes(data[: BODY_PREFIX_BYTES - len(self.body)])
        self.checksum = zlib.crc32(data, self.checksum)


class SignatureTable:
    """Numbers distinct answers from 0.

    When more than `LIMIT` differ (a body with the time of day in it), later ones are told apart without their body,
    then by status and version header alone, then by status alone: the table is bounded whatever the server sends.
    """

    def __init__(self, version_header: bytes | None = None, limit: int = LIMIT) -> None:
        self._version_header = version_header
        self._limit = limit
        self._known: tuple[dict[object, int], ...] = ({}, {}, {}, {})
        self._count = 0

    def number(self, answer: Answer) -> tuple[int, Answer | None]:
        """The signature's number, and the answer as it stands for that signature if it is a new one."""
        for known, reduced in zip(self._known, self._degrees(answer), strict=True):
            key = (reduced.status, reduced.headers, reduced.checksum, reduced.body)
            number = known.get(key)
            if number is not None:
                return number, None
            if len(known) < self._limit or known is self._known[-1]:
                number = known[key] = self._count
                self._count += 1
                return number, reduced
        raise AssertionError("the last degree takes every status")

    def _degrees(self, answer: Answer) -> Iterable[Answer]:
        yield answer
        yield Answer(answer.status, answer.headers)
        yield Answer(
            answer.status,
            tuple((name, value) for name, value in answer.headers if name == self._version_header),
        )
        yield Answer(answer.status, ())
