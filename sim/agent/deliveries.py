"""What became of ECDS responses: which one is the newest for a resource, and which files Envoy uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path


class DeliveryOrder:
    """Of one stream: the order in which responses came, and in which their resources were delivered.

    A response has a ticket, a number that grows. A response may hold but some of the resources, so order is kept
    by name.
    """

    def __init__(self) -> None:
        self._ticket = 0
        self._received: dict[str, int] = {}
        self._delivered: dict[str, int] = {}

    def received(self, names: Iterable[str]) -> int:
        """Note a response as it comes; its ticket."""
        self._ticket += 1
        self._received.update(dict.fromkeys(names, self._ticket))
        return self._ticket

    def delivered(self, ticket: int, names: Iterable[str]) -> None:
        """Note a response as it goes."""
        for name in names:
            self._delivered[name] = max(ticket, self._delivered.get(name, 0))

    def overtaken(self, ticket: int, name: str) -> bool:
        """Whether a newer response with this resource has been delivered."""
        return self._delivered.get(name, 0) > ticket

    def replaced(self, ticket: int, name: str) -> bool:
        """Whether a newer response with this resource has come, delivered or not."""
        return self._received.get(name, 0) > ticket


class ModulesInUse:
    """The files that Envoy was told of last, by node and resource.

    What was delivered before stays in use until Envoy acknowledges what came after: it may reject that.
    """

    def __init__(self) -> None:
        #: By node and resource: the nonce of each delivery that may be in force, oldest first, and its file.
        self._files: dict[tuple[str, str], dict[str, Path | None]] = {}

    def delivered(self, node_id: str, nonce: str, modules: Mapping[str, Path | None]) -> None:
        """Note what a response names, by resource; None for a resource without a module file."""
        for name, path in modules.items():
            held = self._files.setdefault((node_id, name), {})
            held.pop(nonce, None)
            held[nonce] = path

    def acknowledged(self, node_id: str, nonce: str, *, rejected: bool) -> None:
        """Envoy took the response with this nonce, or kept what it had."""
        for (node, _), held in self._files.items():
            if node != node_id or nonce not in held:
                continue
            if rejected:
                del held[nonce]
                continue
            for older in list(held)[: list(held).index(nonce)]:
                del held[older]

    def paths(self) -> set[Path]:
        return {path for held in self._files.values() for path in held.values() if path is not None}
