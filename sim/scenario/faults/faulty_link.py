"""A link that takes faults of its bytes and, if it is asked to, of its xDS messages."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from sim.scenario.faults.active import ActiveFault
from sim.scenario.faults.network import Link
from sim.scenario.faults.spec import LinkName
from sim.scenario.faults.xds import Hold, XdsFault, XdsProxy


class FaultyLink:
    """Stands between a client and `upstream`; clients connect to `address`.

    `listen` and `upstream` are `host:port` (port 0 asks the kernel) or `unix:/path`. With `xds` the byte proxy, which
    the client meets, has the xDS proxy behind it, on a loopback port; `hold` is asked before xDS messages cross. An
    async context manager: entered, it listens; left, it is gone with everything that went through it. Raises
    EnvironmentProblem when it can't listen.
    """

    def __init__(
        self, name: LinkName, listen: str, upstream: str, *, xds: bool = False, hold: Hold | None = None
    ) -> None:
        self.name: LinkName = name
        self._proxy = XdsProxy("127.0.0.1:0", upstream, hold) if xds else None
        self._link = Link(listen, upstream)
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<FaultyLink {self.name} {self._link!r}{' xds' if self.has_xds else ''}>"

    @property
    def address(self) -> str:
        """Where clients connect."""
        return self._link.address

    @property
    def has_xds(self) -> bool:
        """Whether it takes faults of xDS messages."""
        return self._proxy is not None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if self._proxy is not None:
                await stack.enter_async_context(self._proxy)
                self._link.upstream = self._proxy.address
            await stack.enter_async_context(self._link)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, tb)

    async def add(self, fault: ActiveFault[Any]) -> None:
        """Let a network or xDS fault act. Raises ValueError for one of xDS where the link does not understand it."""
        if not isinstance(fault.kind, XdsFault):
            await self._link.add(fault)
        elif self._proxy is None:
            raise ValueError(f"{self.name} was started without xds")
        else:
            self._proxy.add(fault)

    async def remove(self, fault: ActiveFault[Any]) -> None:
        """End a fault that was added."""
        if isinstance(fault.kind, XdsFault) and self._proxy is not None:
            self._proxy.remove(fault.name)
        else:
            await self._link.remove(fault.name)
