"""What a registry fault does to the answers of a registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

from aiohttp import web
from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from sim.oci.registry.faults import PULL_STEPS, Pull, PullStep
from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.kind import CountedKind, Family
from sim.scenario.quantities import Text
from sim.scenario.strict import Strict


class Match(Strict):
    """Which pulls a fault is about; what is not named may be anything."""

    repository: Text | None = Field(
        default=None, description="The repository, without the registry's host", examples=["plugins/request-block"]
    )
    tag: Text | None = Field(default=None, description="The image with this tag: its manifest and its blobs")
    digest: Annotated[str, StringConstraints(pattern=r"^sha(256|512):[0-9a-f]{64,128}$")] | None = Field(
        default=None, description="The image with this digest, or the blob"
    )
    what: PullStep | None = Field(default=None, description="Only this step of a pull")

    @model_validator(mode="after")
    def _can_match(self) -> Self:
        if self.tag is not None and self.digest is not None:
            raise PydanticCustomError("one_of", "an image has a tag or a digest here; write one of the two")
        if self.what in ("ping", "token") and self.reference is not None:
            raise PydanticCustomError(
                "no_image", "a {what} is about no image; leave tag and digest out", {"what": self.what}
            )
        if self.what == "ping" and self.repository is not None:
            raise PydanticCustomError("no_repository", "a ping names no repository; leave the repository out")
        host, slash, rest = (self.repository or "").partition("/")
        if slash and ("." in host or ":" in host or host == "localhost"):
            raise PydanticCustomError(
                "host", "{host} is a registry, no part of the repository; write {rest}", {"host": host, "rest": rest}
            )
        return self

    @property
    def reference(self) -> str | None:
        return self.tag or self.digest

    def covers(self, pull: Pull) -> bool:
        """Whether the pull is one of those that are meant."""
        return (
            self.what in (None, pull.step)
            and self.repository in (None, pull.repository)
            and (self.reference is None or pull.is_of(self.reference))
        )


#: Every pull.
ANY_PULL = Match()


KindT = TypeVar("KindT", bound="RegistryFault")


class Effect(ABC, Generic[KindT]):
    """A fault at work on the registry, for the pulls that `match` covers."""

    def __init__(self, fault: ActiveFault[KindT], match: Match) -> None:
        self.fault = fault
        self.kind = fault.kind
        self.match = match

    def take(self, pull: Pull, **what: Any) -> bool:
        """Note a hit unless the fault is spent: whether it may hit. `what` are further fields of `fault.hit`."""
        repository, reference = pull.repository or None, pull.reference or None
        return self.fault.take(what=pull.step, repository=repository, reference=reference, **what)

    @abstractmethod
    async def answer(self, pull: Pull) -> web.StreamResponse | None:
        """What is sent instead of the real answer; None lets the pull pass. It may break the connection."""


class RegistryFault(CountedKind, ABC):
    """A fault of the registry's answers. `steps` are those of a pull that it can be about."""

    family: ClassVar[Family] = "registry"
    steps: ClassVar[tuple[PullStep, ...]] = PULL_STEPS

    @abstractmethod
    def effect(self, fault: ActiveFault[Any], match: Match) -> Effect[Any]:
        """What it does to pulls from now on."""


def blob_headers(digest: str, size_bytes: int) -> dict[str, str]:
    """The headers under which the registry sends a whole blob."""
    return {
        "Content-Type": "application/octet-stream",
        "Content-Length": str(size_bytes),
        "Docker-Content-Digest": digest,
    }
