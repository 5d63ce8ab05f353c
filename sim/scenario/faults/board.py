"""The board of a run's faults: which are in force, under which names, and what each has done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.errors import StepFailed
from sim.oci.registry.faults import PullFaults
from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.faulty_link import FaultyLink
from sim.scenario.faults.registry import RegistryFault
from sim.scenario.faults.spec import ALL, REGISTRY, FaultSpec, LinkName
from sim.trace import Trace

#: So many hits of one fault are events of their own; `fault.cleared` counts all.
MOST_HIT_EVENTS = 100


class FaultBoard:
    """Injects and clears faults, and tells the trace.

    `links` and `registry` are what there is in this run; `seed` is the run's: the same seed and the same order of
    faults and connections hit the same connections. The events have `fault`, `kind` and `on`: `fault.injected` also the
    attributes, `fault.cleared` the number of `hits`, and `fault.hit` what was hit. That is a message, a pull, or, by a
    fault of bytes, a connection, which is told once.
    """

    def __init__(
        self,
        trace: Trace,
        links: Mapping[LinkName, FaultyLink] | None = None,
        registry: PullFaults | None = None,
        *,
        seed: int | str = 0,
    ) -> None:
        self._trace = trace
        self._links: dict[str, FaultyLink] = {str(name): link for name, link in (links or {}).items()}
        self._registry = registry
        self._seed = seed
        self._injected = 0
        self._active: dict[str, ActiveFault[Any]] = {}

    def __repr__(self) -> str:
        return f"<FaultBoard {list(self._active)} on {', '.join(self._places())}>"

    @property
    def active(self) -> Mapping[str, ActiveFault[Any]]:
        """The faults in force by name; those that are spent, too, until they are cleared."""
        return dict(self._active)

    async def inject(self, spec: FaultSpec) -> None:
        """Let a fault begin; it acts when this returns.

        Raises StepFailed when its name is taken, or it is about something that this run has not.
        """
        name = spec.fault_name
        if name in self._active:
            raise StepFailed(
                f"the fault {name} is in force already", hint=f"clear it first, or give this one a name: {name}-2"
            )
        place = self._place(spec)
        self._injected += 1
        fault = ActiveFault(
            name=name,
            kind=spec.kind_of_fault,
            on=spec.on,
            stream=spec.stream or "downstream",
            toxicity=1.0 if spec.toxicity is None else spec.toxicity,
            # By its turn, so that the same fault does not hit the same connections each time.
            seed=f"{self._seed}/{self._injected}",
            tell=self._tell,
        )
        self._active[name] = fault
        # Told first, so that no hit is told before it.
        self._emit(
            "fault.injected",
            fault,
            attributes=fault.kind.model_dump(mode="json", exclude_none=True) or None,
            stream=spec.stream,
            toxicity=spec.toxicity,
            match=spec.match.model_dump(mode="json", exclude_none=True) if spec.match is not None else None,
        )
        if isinstance(place, FaultyLink):
            await place.add(fault)
        elif isinstance(fault.kind, RegistryFault):
            place.add(name, fault.kind.effect(fault, spec.matched).answer)

    async def clear(self, name: str) -> None:
        """End the fault of this name, or `all`; what it held back goes on when this returns.

        Raises StepFailed when there is none of this name; `all` may be none.
        """
        if name != ALL and name not in self._active:
            raise StepFailed(
                f"there is no fault {name}",
                hint=f"in force are {', '.join(self._active)}" if self._active else "no fault is in force",
            )
        for fault in [self._active[name]] if name != ALL else list(self._active.values()):
            del self._active[fault.name]
            fault.ended.set()
            if fault.on in self._links:
                await self._links[fault.on].remove(fault)
            elif self._registry is not None:
                self._registry.remove(fault.name)
            self._emit("fault.cleared", fault, hits=fault.hits)

    def _place(self, spec: FaultSpec) -> FaultyLink | PullFaults:
        if spec.on == REGISTRY:
            if self._registry is None:
                raise StepFailed(
                    "this run has no registry of its own, so its answers can't go wrong",
                    hint="run it without --with registry=…, or put a network fault on agent-registry",
                )
            return self._registry
        link = self._links.get(spec.on)
        if link is None:
            raise StepFailed(
                f"this run has no link {spec.on} that faults can be put on",
                hint=f"it has {', '.join(self._places()) or 'none'}; a part of --with may stand in its place",
            )
        if spec.needs_xds and not link.has_xds:
            raise StepFailed(
                f"the link {spec.on} passes bytes and understands no xDS, which {spec.fault_name} needs",
                hint="inject it from a scenario that is known when the run begins",
            )
        return link

    def _places(self) -> list[str]:
        return [*self._links, *([REGISTRY] if self._registry is not None else [])]

    def _tell(self, fault: ActiveFault[Any], what: dict[str, Any]) -> None:
        if fault.hits <= MOST_HIT_EVENTS:
            self._emit("fault.hit", fault, **what, left=fault.left)

    def _emit(self, event: str, fault: ActiveFault[Any], **fields: Any) -> None:
        self._trace.emit(event, **{"fault": fault.name, "kind": fault.kind.kind, "on": fault.on, **fields})
