"""The rows of the Perfetto trace: each lane a thread, with a second one where its slices would cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sim.report.html.lanes import Lane

#: The rollouts are a process of their own, above the parts.
ROLLOUTS_PID = 1
_FIRST_PID = 2
#: A thread whose number is its process' would be taken for the main thread, and be moved to the top.
_FIRST_TID = 101


@dataclass(slots=True)
class Track:
    """One thread. `ends` are those of the slices that are open where the last one was placed, innermost last."""

    pid: int
    tid: int
    name: str
    ends: list[int] = field(default_factory=list)

    def takes(self, start_ns: int, end_ns: int) -> bool:
        """Place the slice, unless it would cross one that is there. Slices come in the order of their beginnings."""
        while self.ends and self.ends[-1] <= start_ns:
            self.ends.pop()
        if self.ends and end_ns > self.ends[-1]:
            return False
        self.ends.append(end_ns)
        return True


class Tracks:
    """Every track of a run, by the lane's id; processes are the run, or each gateway where there are several."""

    def __init__(self, lanes: Sequence[Lane], run: str) -> None:
        self._rows: dict[str, list[Track]] = {}
        self._names: dict[str, str] = {}
        self._pids: dict[str, int] = {}
        self._processes: dict[int, str] = {ROLLOUTS_PID: "rollouts"}
        self._next_tid = _FIRST_TID
        of_gateway: dict[str, int] = {}
        for lane in lanes:
            pid = of_gateway.setdefault(lane.gateway, _FIRST_PID + len(of_gateway))
            self._processes.setdefault(pid, f"gateway {lane.gateway}" if lane.gateway else run)
            self._add(lane.id, pid, _name(lane))
        #: The process of each load's lane.
        self.of_loads = {lane.load: self._pids[lane.id] for lane in lanes if lane.load is not None}

    def rollout(self, number: int, title: str) -> None:
        self._add(_rollout(number), ROLLOUTS_PID, title)

    def of_rollout(self, number: int) -> Track:
        return self._rows[_rollout(number)][0]

    def first(self, lane: str) -> Track:
        """Where what has no length is drawn."""
        return self._rows[lane][0]

    def place(self, lane: str, start_ns: int, end_ns: int) -> Track:
        """The first row of the lane on which the slice nests."""
        for track in self._rows[lane]:
            if track.takes(start_ns, end_ns):
                return track
        self._add(lane, self._pids[lane], f"{self._names[lane]} ({len(self._rows[lane]) + 1})")
        track = self._rows[lane][-1]
        track.takes(start_ns, end_ns)
        return track

    def metadata(self) -> list[dict[str, Any]]:
        """The names of all that is there, and their order."""
        made: list[dict[str, Any]] = []
        for pid, name in self._processes.items():
            made.append(_metadata("process_name", pid, 0, {"name": name}))
            made.append(_metadata("process_sort_index", pid, 0, {"sort_index": pid}))
        for position, track in enumerate(each for rows in self._rows.values() for each in rows):
            made.append(_metadata("thread_name", track.pid, track.tid, {"name": track.name}))
            made.append(_metadata("thread_sort_index", track.pid, track.tid, {"sort_index": position}))
        return made

    def _add(self, lane: str, pid: int, name: str) -> None:
        self._pids[lane] = pid
        self._names.setdefault(lane, name)
        self._rows.setdefault(lane, []).append(Track(pid, self._next_tid, name))
        self._next_tid += 1


def _rollout(number: int) -> str:
    return f"rollout:{number}"


def _name(lane: Lane) -> str:
    match lane.kind:
        case "worker":
            return f"Envoy worker {lane.number}"
        case "clients":
            return f"clients {lane.load}"
        case "envoy":
            return "Envoy main thread"
        case "core" | "discovery":
            return lane.kind.title()
        case kind:
            return kind


def _metadata(what: str, pid: int, tid: int, args: dict[str, Any]) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": args}
