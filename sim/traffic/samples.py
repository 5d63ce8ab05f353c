"""What the probe saw: raw samples in columns, the signatures they name, the connections they used."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, overload

ABSENT = -1


@dataclass(frozen=True, slots=True)
class Signature:
    """What tells one response from another.

    `headers` are lower-cased, without those that change with every response (`date`, `x-request-id`, …); `body` is at
    most the first 256 bytes. A server with too many different responses gets signatures with an empty body, then
    with the version header alone, then with none.
    """

    status: int
    headers: dict[str, str]
    body: bytes = b""


#: The plugin version that answered, None if no plugin's mark is on the response.
Attribute = Callable[[Signature], str | None]


@cache
def by_header(name: str) -> Attribute:
    """The value of the header `name` is the version; the same function for the same name."""
    lowered = name.lower()
    return lambda signature: signature.headers.get(lowered)


def unattributed(signature: Signature) -> str | None:
    """No response is anyone's."""
    return None


@dataclass(frozen=True, slots=True)
class Sample:
    """One request, answered or not. Times are nanoseconds on CLOCK_MONOTONIC.

    `due_ns` is when the open loop wanted it sent; `error` is None for success, else `status` (a failing status came),
    `timeout`, `broken` (the connection went away), `protocol` (not HTTP/1.1) or `refused`. Without a response
    `status` and `signature` are None; never sent: `sent_ns` too.
    """

    due_ns: int
    sent_ns: int | None
    first_byte_ns: int | None
    done_ns: int
    status: int | None
    signature: int | None
    connection: int | None
    error: str | None = None
    version: str | None = None

    @property
    def failed(self) -> bool:
        return self.error is not None

    @property
    def bears_witness(self) -> bool:
        """Whether it tells which version is in force: a response, and not an unmarked failure on its way."""
        return self.status is not None and (self.version is not None or self.error is None)


class Samples(Sequence[Sample]):
    """Samples in the order of their completion: 45 bytes each, however long the run.

    `attribute` names the version of each signature; it is asked once per signature.
    """

    def __init__(self, attribute: Attribute = unattributed) -> None:
        self.signatures: dict[int, Signature] = {}
        #: What was worked out of the samples so far, for whoever asks again when there are more.
        self.derived: dict[Hashable, Any] = {}
        self._attribute = attribute
        self._versions: dict[int, str | None] = {}
        self._due_ns = array("q")
        self._sent_ns = array("q")
        self._first_byte_ns = array("q")
        self._done_ns = array("q")
        self._status = array("h")
        self._signature = array("i")
        self._connection = array("i")
        self._error = array("b")
        self._errors: list[str] = []

    def define(self, number: int, signature: Signature) -> None:
        """Make a signature known; to be done before a sample names it."""
        self.signatures[number] = signature
        self._versions[number] = self._attribute(signature)

    def append(self, row: Sequence[Any]) -> None:
        """Add a row as the probe writes it: the fields of `Sample` in order, without the version."""
        due_ns, sent_ns, first_byte_ns, done_ns, status, signature, connection, error = row
        self._due_ns.append(due_ns)
        self._sent_ns.append(_packed(sent_ns))
        self._first_byte_ns.append(_packed(first_byte_ns))
        self._done_ns.append(done_ns)
        self._status.append(_packed(status))
        self._signature.append(_packed(signature))
        self._connection.append(_packed(connection))
        if error is not None and error not in self._errors:
            self._errors.append(error)
        self._error.append(ABSENT if error is None else self._errors.index(error))

    def position(self, since_ns: int) -> int:
        """The index of the first sample that was completed at `since_ns` or later."""
        return bisect_left(self._done_ns, since_ns)

    def __len__(self) -> int:
        return len(self._due_ns)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self._at(position) for position in range(*index.indices(len(self)))]
        return self._at(index)

    def __iter__(self) -> Iterator[Sample]:
        return map(self._at, range(len(self)))

    def _at(self, index: int) -> Sample:
        signature = self._signature[index]
        error = self._error[index]
        return Sample(
            due_ns=self._due_ns[index],
            sent_ns=_unpacked(self._sent_ns[index]),
            first_byte_ns=_unpacked(self._first_byte_ns[index]),
            done_ns=self._done_ns[index],
            status=_unpacked(self._status[index]),
            signature=_unpacked(signature),
            connection=_unpacked(self._connection[index]),
            error=None if error == ABSENT else self._errors[error],
            version=self._versions.get(signature),
        )


def _packed(value: int | None) -> int:
    return ABSENT if value is None else value


def _unpacked(value: int) -> int | None:
    return None if value == ABSENT else value


@dataclass(slots=True)
class Connections:
    """How a load's connections fared. `closed` are the probe's own, after time-outs; `refused` are attempts."""

    opened: int = 0
    broken: int = 0
    drained: int = 0
    closed: int = 0
    refused: int = 0
    #: The numbers of those that are open now.
    open: set[int] = field(default_factory=set)
