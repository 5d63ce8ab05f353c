"""What an xDS fault does to one stream, decided synchronously: messages in and out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import AfterValidator, Field

from sim.model import TYPE_PREFIX, short_name
from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.kind import CountedKind, Family
from sim.scenario.faults.xds.message import Break, Request, Response

#: The types of the gateway's configuration, as scenarios may write them.
ENVOY_TYPES = ("cds", "eds", "lds", "rds", "ecds")

#: Gives the fields of `fault.hit` that name a stream: `stream`, and `node_id` as soon as it is known.
StreamFields = Callable[[], dict[str, Any]]

#: What may go to the client in place of a response.
Item = Response | Break


def _check_type(text: str) -> str:
    if not text.startswith(TYPE_PREFIX) and "/" not in text and text.lower() not in ENVOY_TYPES and not _is_kind(text):
        raise ValueError(
            f"{text!r} is no type; write {', '.join(ENVOY_TYPES)}, an MCP kind such as WasmPlugin, or a type URL"
        )
    return text


def _is_kind(text: str) -> bool:
    return text.isascii() and text.isalnum() and text[0].isupper() and not text.isupper()


#: A short name (`ecds`), an MCP kind (`WasmPlugin`) or a type URL.
XdsType = Annotated[str, AfterValidator(_check_type), Field(examples=["ecds", "lds", "WasmPlugin"])]


def names(wanted: str, type_url: str) -> bool:
    """Whether a scenario's `wanted` means the type."""
    return wanted == type_url or wanted.lower() == short_name(type_url).lower()


KindT = TypeVar("KindT", bound="XdsFault")


class Effect(Generic[KindT]):
    """A fault at work on one stream; this one lets everything pass.

    Each of `added`, `request`, `response` and `cleared` gives what goes on in place of what came, in order.
    """

    def __init__(self, fault: ActiveFault[KindT], stream: StreamFields) -> None:
        self.fault = fault
        self.kind = fault.kind
        self._stream = stream

    def take(self, message: Request | Response | None = None, **what: Any) -> bool:
        """Note a hit unless the fault is spent: whether it may hit. `what` are further fields of `fault.hit`."""
        told = message.told() if message is not None else {}
        return self.fault.take(**told, **what, **self._stream())

    def added(self, *, to_open_stream: bool) -> Sequence[Item]:
        """It begins; what it makes of that by itself."""
        return ()

    def request(self, request: Request) -> Sequence[Request]:
        return (request,)

    def response(self, response: Response) -> Sequence[Item]:
        return (response,)

    def cleared(self) -> Sequence[Item]:
        """It ends; what it still held back."""
        return ()


class XdsFault(CountedKind, ABC):
    """A fault of a link's xDS messages."""

    family: ClassVar[Family] = "xds"

    @property
    def named_type(self) -> str | None:
        """The type that it names, as it was written; None where it means every type."""
        return None

    @abstractmethod
    def effect(self, fault: ActiveFault[Any], stream: StreamFields) -> Effect[Any]:
        """What it does to one stream from now on."""


class TypedFault(XdsFault):
    """An xDS fault of the messages of one type."""

    type: XdsType = Field(description="Messages of this type: ecds, lds, cds, rds, eds; from Core WasmPlugin and so on")

    @property
    def named_type(self) -> str | None:
        return self.type

    def means(self, message: Request | Response) -> bool:
        """Whether the message is of the type that is meant."""
        return names(self.type, message.type_url)
