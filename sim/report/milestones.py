"""Follows rollouts while they go on, event by event, for whoever shows them live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sim.model import ECDS
from sim.report.phrases import image
from sim.scenario.result import STAGES
from sim.trace import Event
from sim.trace.refusal import is_complaint, quoted, with_complaints

#: How many rollouts are remembered at once.
KEPT = 4

#: Which event ends which stage, and the stage that a rollout must have behind it for the event to be about it.
_ENDS = {
    "core.convert": ("convert", None),
    "discovery.received": ("mcp", "convert"),
    "discovery.debounce": ("debounce", "mcp"),
    "agent.intercept": ("push", "debounce"),
    "agent.fetch": ("fetch", None),
    "agent.unpack": ("unpack", None),
    "agent.rewrite": ("rewrite", None),
    "agent.deliver": ("deliver", "push"),
    "envoy.worker_ready": ("load", "deliver"),
    "traffic.first_response": ("first_response", "deliver"),
}
_EVENTS = {stage: name for name, (stage, _) in _ENDS.items()}
_REPLACED = {
    "allow_all": "allow-all in its place, the plugin is NOT active",
    "deny_all": "deny-all in its place, the plugin is NOT active",
    "nack": "the agent refuses the whole response",
}


@dataclass(slots=True)
class Following:
    """A rollout under way.

    `ended` maps a stage to the `t_ns` of its end; `failed` is the stage that did, `troubles` say why.
    """

    plugin: str
    image: str | None
    started_ns: int
    ended: dict[str, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    #: What the plugin, and Envoy of it, complained of.
    complaints: list[str] = field(default_factory=list)
    running: str | None = None
    failed: str | None = None
    over: bool = False
    #: Nothing of the plugin is left to be seen: it was deleted, or replaced.
    may_be_bare: bool = False

    def length_ms(self, stage: str) -> float | None:
        """How long the stage took, counted from the end of the last one before it; None while it has not ended."""
        end = self.ended.get(stage)
        if end is None:
            return None
        earlier = [self.ended[name] for name in STAGES[: STAGES.index(stage)] if name in self.ended]
        return max(0, end - max([self.started_ns, *earlier])) / 1e6

    def total_ms(self) -> float | None:
        """From the manifest to the first response by the new version."""
        end = self.ended.get("first_response")
        return None if end is None else (end - self.started_ns) / 1e6

    def stages(self) -> list[tuple[str, float]]:
        """The stages that ended, in order, with their milliseconds."""
        return [(stage, length) for stage in STAGES if (length := self.length_ms(stage)) is not None]


@dataclass(frozen=True, slots=True)
class Milestone:
    """Something new about a rollout: a stage that ended, or, with `stage` None, the sentence `text`."""

    rollout: Following
    stage: str | None = None
    text: str = ""
    trouble: bool = False


class Milestones:
    """The rollouts under way, the latest last. Rollouts that are over stay until the next one begins.

    `versions` tells which version traffic shows of an image's URL; of those that are not in it, any is news.
    """

    def __init__(self, versions: Mapping[str, str | None] | None = None) -> None:
        self._versions = versions or {}
        self.rollouts: tuple[Following, ...] = ()
        self._seen: set[str] = set()

    def take(self, event: Event) -> list[Milestone]:
        """What the event means for the rollouts; empty for most events."""
        self._seen.add(event.event)
        if event.event == "core.apply":
            if event.data.get("change") == "listed":
                return []
            return self._begin(event)
        if event.type_url is not None and event.event in ("agent.intercept", "agent.deliver", "envoy.ack"):
            if event.type_url != ECDS:
                return []
        elif event.event == "discovery.received" and not (event.type_url or "").endswith("WasmPlugin"):
            return []
        if event.event in ("envoy.nack", "agent.nack", "agent.replace", "envoy.ack"):
            return self._answered(event)
        if event.event == "envoy.log":
            for rollout in self._about(event):
                if is_complaint(event, rollout.plugin) and (said := quoted(event)) not in rollout.complaints:
                    rollout.complaints.append(said)
        if event.event not in _ENDS:
            return []
        stage, after = _ENDS[event.event]
        rollouts = [rollout for rollout in self._about(event) if self._has(rollout, after)]
        if event.span == "started":
            for rollout in rollouts:
                rollout.running = stage
            return []
        return [made for rollout in rollouts if (made := self._end(rollout, stage, event)) is not None]

    def _begin(self, event: Event) -> list[Milestone]:
        if event.plugin is None or event.span in ("completed", "failed"):
            return []
        begun = Following(event.plugin, event.image, event.t_ns, may_be_bare=event.data.get("change") == "deleted")
        kept = [other for other in self.rollouts if not other.over and other.plugin != begun.plugin]
        self.rollouts = (*kept[-(KEPT - 1) :], begun)
        return [Milestone(begun, text=f"applied {image(begun.image)}" if begun.image else "applied")]

    def _about(self, event: Event) -> list[Following]:
        # Envoy tells of its workers in its log, which may be read after the response was seen.
        late = event.event == "envoy.worker_ready"
        return [
            rollout
            for rollout in self.rollouts
            if event.plugin in (None, rollout.plugin)
            and event.t_ns >= rollout.started_ns
            and (late or not rollout.over)
        ]

    def _has(self, rollout: Following, stage: str | None) -> bool:
        # A part that is not ours tells nothing, so nothing can be asked of its stages.
        return stage is None or stage in rollout.ended or _EVENTS[stage] not in self._seen

    def _end(self, rollout: Following, stage: str, event: Event) -> Milestone | None:
        rollout.running = None
        if event.span == "failed":
            error = f"{stage} failed: {event.data.get('error', 'no reason given')}"
            rollout.troubles.append(error)
            rollout.failed = stage
            return Milestone(rollout, text=error, trouble=True)
        if stage == "first_response" and event.data.get("version") is None and not rollout.may_be_bare:
            # A response without a version is news only where the plugin has gone.
            return None
        wanted = self._versions.get(rollout.image or "")
        if stage == "first_response" and not rollout.may_be_bare and wanted not in (None, event.data.get("version")):
            return None
        if stage in rollout.ended or event.t_ns > rollout.ended.get("first_response", event.t_ns):
            return None
        rollout.ended[stage] = event.t_ns
        if stage == "first_response":
            rollout.over = True
        return Milestone(rollout, stage=stage)

    def _answered(self, event: Event) -> list[Milestone]:
        rollouts = [r for r in self._about(event) if event.plugin or self._has(r, "push")]
        if event.event == "envoy.ack":
            return [Milestone(r, text="ACK") for r in rollouts if self._has(r, "deliver")]
        if event.event == "envoy.nack" and event.type_url != ECDS:
            return []
        return [Milestone(rollout, text=self._refused(rollout, event), trouble=True) for rollout in rollouts]

    def _refused(self, rollout: Following, event: Event) -> str:
        """Note that the rollout was refused, or replaced; the sentence that says so."""
        if event.event == "agent.replace":
            choice = str(event.data.get("replacement"))
            text = _REPLACED.get(choice, choice)
            rollout.may_be_bare = choice != "nack"
        else:
            by_envoy = event.event == "envoy.nack"
            error = str(event.data.get("error", "no reason given"))
            why = with_complaints(error, rollout.complaints if by_envoy else ())
            text = f"NACK by {'Envoy' if by_envoy else 'the agent'}: {why}"
            rollout.over = True
        rollout.troubles.append(text)
        return text
