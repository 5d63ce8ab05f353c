"""How a version takes over: its first response, and the last one by any other."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from sim.traffic.samples import Attribute, Sample, Samples


class Versions:
    """Which version each open connection was answered by last."""

    def __init__(self) -> None:
        self._latest: dict[int, str | None] = {}

    def is_new(self, sample: Sample) -> bool:
        """Take the sample in; whether it is by a version that was on no connection."""
        if not sample.bears_witness:
            return False
        assert sample.connection is not None
        new = sample.version not in self._latest.values()
        self._latest[sample.connection] = sample.version
        return new

    def forget(self, connection: int) -> None:
        """The connection has ended."""
        self._latest.pop(connection, None)


class Rollout:
    """Follows `samples`, as they grow, from `since_ns` on, with respect to one version.

    Responses count by their arrival, until before `until_ns`. A failed response that no plugin marked tells
    nothing about versions.
    """

    def __init__(
        self,
        samples: Samples,
        version: str | None,
        since_ns: int,
        attribute: Attribute | None = None,
        *,
        until_ns: int | None = None,
    ) -> None:
        self.first: Sample | None = None
        #: When the last response by another version arrived.
        self.last_other_ns: int | None = None
        #: How many responses by the version came since then.
        self.streak = 0
        self._samples = samples
        self._attribute = attribute
        self._version = version
        self._position = samples.position(since_ns)
        self._end = None if until_ns is None else samples.position(until_ns)
        self._reread: dict[int, str | None] = {}
        self._latest: dict[int, bool] = {}

    def advance(self) -> Sample | None:
        """Take in the samples that came since the last call; the version's first response, if it is there."""
        end = len(self._samples) if self._end is None else self._end
        while self._position < end:
            sample = self._read(self._samples[self._position])
            self._position += 1
            if not sample.bears_witness:
                continue
            assert sample.connection is not None
            ours = sample.version == self._version
            self._latest[sample.connection] = ours
            if not ours:
                self.last_other_ns = sample.done_ns
                self.streak = 0
                continue
            self.streak += 1
            if self.first is None:
                self.first = sample
        return self.first

    def holds(self, connections: Set[int]) -> bool:
        """Whether the version answered last on each of `connections`, of which there must be one."""
        return bool(connections) and all(self._latest.get(number, False) for number in connections)

    def _read(self, sample: Sample) -> Sample:
        number = sample.signature
        if self._attribute is None or number is None:
            return sample
        if number not in self._reread:
            self._reread[number] = self._attribute(self._samples.signatures[number])
        return replace(sample, version=self._reread[number])
