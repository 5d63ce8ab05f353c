"""What every fault is: a class whose fields are its attributes in a scenario. `KINDS` is the registry."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from sim.scenario.strict import Strict

#: Where a fault acts: on the bytes of a link, on the xDS messages of a link, or on the registry's answers.
Family = Literal["network", "xds", "registry"]

#: Every kind of fault by its name in a scenario. A class with a `kind` of its own registers itself.
KINDS: dict[str, type[FaultKind]] = {}


class FaultKind(Strict):
    """A kind of fault. Instances are attributes only and never change; what happens is the family's business.

    The first line of a kind's docstring describes it in the JSON Schema.
    """

    kind: ClassVar[str]
    family: ClassVar[Family]
    #: Whether it takes a direction and a share of the connections, as Toxiproxy's toxics do.
    per_connection: ClassVar[bool] = False

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "kind" not in cls.__dict__:
            return
        if KINDS.setdefault(cls.kind, cls) is not cls:
            raise TypeError(f"there are two faults {cls.kind}: {KINDS[cls.kind].__name__} and {cls.__name__}")

    @property
    def most_hits(self) -> int | None:
        """After so many hits it is spent; None: never."""
        return None


class CountedKind(FaultKind):
    """A kind that may be limited to some hits."""

    count: int | None = Field(
        default=None, ge=1, description="After so many hits everything is well again; if not set, until it is cleared"
    )

    @property
    def most_hits(self) -> int | None:
        return self.count
