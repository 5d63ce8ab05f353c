"""When requests are due: an open loop, indifferent to how the gateway fares."""

from __future__ import annotations


class Schedule:
    """Request `k` is due at `origin + k / rate`; a new rate starts a new origin. Times are nanoseconds."""

    def __init__(self, rate_per_s: float, origin_ns: int) -> None:
        self._rate_per_s = rate_per_s
        self._origin_ns = origin_ns
        self._next = 0

    @property
    def next_due_ns(self) -> int | None:
        """When the next request is due; None while the rate is zero."""
        if self._rate_per_s <= 0:
            return None
        return self._origin_ns + round(self._next * 1e9 / self._rate_per_s)

    def take(self, now_ns: int) -> list[int]:
        """The due times up to and including `now_ns` that were not taken before, in order."""
        taken = []
        while (due_ns := self.next_due_ns) is not None and due_ns <= now_ns:
            taken.append(due_ns)
            self._next += 1
        return taken

    def change_rate(self, rate_per_s: float, now_ns: int) -> None:
        """From now on `rate_per_s`: the next request is due one new interval from now, or earlier if it was."""
        if rate_per_s > 0:
            planned_ns = self.next_due_ns
            interval_ns = now_ns + round(1e9 / rate_per_s)
            self._origin_ns = interval_ns if planned_ns is None else min(planned_ns, interval_ns)
            self._next = 0
        self._rate_per_s = rate_per_s
