"""The steps `fault` and `clear` as a scenario writes them, and which fault fits where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, get_args

from pydantic import ConfigDict, Field, StringConstraints, create_model, model_validator
from pydantic_core import PydanticCustomError

from sim.scenario.faults.active import Direction
from sim.scenario.faults.kind import KINDS, FaultKind
from sim.scenario.faults.registry import ANY_PULL, Match, RegistryFault
from sim.scenario.faults.xds import ENVOY_TYPES, Reorder, XdsFault
from sim.scenario.strict import Strict

LinkName = Literal["core-discovery", "discovery-agent", "agent-envoy", "agent-registry"]
REGISTRY: Final = "registry"
Place = Literal[LinkName, "registry"]

LINKS: tuple[LinkName, ...] = get_args(LinkName)
#: The links that carry xDS.
XDS_LINKS: tuple[LinkName, ...] = ("core-discovery", "discovery-agent", "agent-envoy")

#: Of the lots that faults draw, unless a run has a seed of its own.
DEFAULT_SEED: Final = 1

#: What `clear` takes for every fault.
ALL = "all"

FaultName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class FaultSpecFields(Strict):
    """Where a fault is, what it is called, and whom it hits; the kind stands beside it under its own name."""

    name: FaultName | None = Field(
        default=None, description="By which it is cleared; its kind, unless told otherwise", examples=["slow-registry"]
    )
    on: Place = Field(description="A link between two parts, or the registry's answers")
    stream: Direction | None = Field(
        default=None,
        description="Of a link's bytes: those to the client (downstream, unless told otherwise) or to the server. "
        "The client is Discovery, the agent, Envoy; on agent-registry the agent",
    )
    toxicity: float | None = Field(
        default=None, ge=0, le=1, description="Of a link's bytes: the share of connections that is hit; all by default"
    )
    match: Match | None = Field(default=None, description="Of the registry: which pulls are hit; all by default")

    @model_validator(mode="before")
    @classmethod
    def _on_is_no_boolean(cls, data: Any) -> Any:
        """Unquoted, `on` is a boolean in YAML 1.1, and so in what Kubernetes makes of a key."""
        if isinstance(data, Mapping) and "on" not in data:
            return {"on" if key is True or key == "true" else key: value for key, value in data.items()}
        return data

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = [name for name in KINDS if getattr(self, name, None) is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "one_of",
                "a fault is of exactly one kind, this one of {told}; the kinds are {known}",
                {"told": " and ".join(given) if given else "none", "known": ", ".join(KINDS)},
            )
        if self.name == ALL:
            raise PydanticCustomError("name", "all is every fault to a clear step; give this one another name")
        _check_place(self.kind_of_fault, self.on)
        self._check_extras(self.kind_of_fault)
        return self

    def _check_extras(self, kind: FaultKind) -> None:
        for name in ("stream", "toxicity"):
            if getattr(self, name) is not None and not kind.per_connection:
                known = ", ".join(k for k, other in KINDS.items() if other.per_connection)
                raise PydanticCustomError(
                    "not_per_connection",
                    "{name} is of single connections, which {kind} is not about; leave it out, or use one of {known}",
                    {"name": name, "kind": kind.kind, "known": known},
                )
        if self.match is None:
            return
        if not isinstance(kind, RegistryFault):
            raise PydanticCustomError(
                "match", "match chooses among the registry's answers; leave it out, or write on: registry"
            )
        if self.match.what is not None and self.match.what not in kind.steps:
            raise PydanticCustomError(
                "match",
                "{kind} never hits a {what}; write what: {steps}, or leave it out",
                {"kind": kind.kind, "what": self.match.what, "steps": " or ".join(kind.steps)},
            )

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return [(name, value) for name, value in super().__repr_args__() if value is not None]

    # -- what it is, for whoever carries it out ---------------------------------------------------------------

    @property
    def kind_of_fault(self) -> FaultKind:
        """The kind with its attributes."""
        found: FaultKind = next(kind for name in KINDS if (kind := getattr(self, name, None)) is not None)
        return found

    @property
    def fault_name(self) -> str:
        """By which it is known while it is in force."""
        return self.name or self.kind_of_fault.kind

    @property
    def needs_xds(self) -> bool:
        """Whether its link must understand xDS messages."""
        return isinstance(self.kind_of_fault, XdsFault)

    @property
    def matched(self) -> Match:
        return self.match or ANY_PULL


def _check_place(kind: FaultKind, on: str) -> None:
    """Raises PydanticCustomError for a kind that can't be there."""
    fitting: dict[str, tuple[str, ...]] = {"network": LINKS, "xds": XDS_LINKS, "registry": (REGISTRY,)}
    places = fitting[kind.family]
    if on not in places:
        there = [name for name, other in KINDS.items() if on in fitting[other.family]]
        raise PydanticCustomError(
            "place",
            "{kind} is {what}, which {on} has none of; write on: {places}, or one of {there}",
            {
                "kind": kind.kind,
                "what": _FAMILIES[kind.family],
                "on": on,
                "places": " or ".join(places),
                "there": ", ".join(there),
            },
        )
    if not isinstance(kind, XdsFault):
        return
    named = [kind.named_type, kind.behind if isinstance(kind, Reorder) else None]
    for wanted in filter(None, named):
        of_envoy = wanted.lower() in ENVOY_TYPES or wanted.startswith("type.googleapis.com/")
        if on == "core-discovery" and of_envoy:
            raise PydanticCustomError(
                "type",
                "Core sends Discovery no {type}; write an MCP kind such as WasmPlugin, or on: discovery-agent",
                {"type": wanted},
            )
        if on != "core-discovery" and not of_envoy:
            raise PydanticCustomError(
                "type",
                "{type} goes from Core to Discovery alone; write on: core-discovery, or one of {types}",
                {"type": wanted, "types": ", ".join(ENVOY_TYPES)},
            )


_FAMILIES = {"network": "a fault of bytes", "xds": "a fault of xDS messages", "registry": "a fault of the answers"}


def _kind_fields() -> dict[str, Any]:
    described = {name: (kind.__doc__ or "").strip().partition("\n")[0] for name, kind in KINDS.items()}
    return {name: (kind | None, Field(default=None, description=described[name])) for name, kind in KINDS.items()}


class _OneKind(FaultSpecFields):
    """With the JSON Schema's word for "exactly one"."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [name]} for name in KINDS]})


if TYPE_CHECKING:

    class FaultSpec(FaultSpecFields):
        """Make something go wrong from now on, until it is cleared."""

else:
    FaultSpec = create_model(
        "FaultSpec",
        __base__=_OneKind,
        __module__=__name__,
        __doc__="Make something go wrong from now on, until it is cleared.",
        **_kind_fields(),
    )


class ClearSpec(Strict):
    """Make something well again."""

    name: FaultName = Field(description="A fault's name, or all")


def links_of(specs: list[FaultSpec]) -> dict[LinkName, bool]:
    """The links that these faults need, and whether each must understand xDS."""
    needed: dict[LinkName, bool] = {}
    for spec in specs:
        if spec.on != REGISTRY:
            needed[spec.on] = needed.get(spec.on, False) or spec.needs_xds
    return needed
