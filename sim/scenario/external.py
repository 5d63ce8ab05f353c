"""Parts that are running already, used in a run in place of its own: what that makes impossible, said beforehand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import aiohttp

from sim.errors import EnvironmentProblem, InvalidInput, Location
from sim.scenario.faults import REGISTRY
from sim.scenario.load import LoadedScenario
from sim.scenario.problems import suggestion
from sim.scenario.schema import Apply, Bump, Delete, Edit, Fault, Wait

KNOWN = ("core", "discovery", "registry")
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class ExternalParts:
    """Addresses, `host:port`, of the parts that are not started; None where the run starts its own.

    Behind an external Discovery is its own Core, so then none is started. Core is told of manifests by nobody but
    its owner, so steps that change them need our own.
    """

    core: str | None = None
    discovery: str | None = None
    registry: str | None = None

    @property
    def own_core(self) -> bool:
        return self.core is None and self.discovery is None

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Read `part=host:port`s. Raises InvalidInput."""
        found: dict[str, str] = {}
        for text in texts:
            part, _, address = text.partition("=")
            host, _, port = address.rpartition(":")
            if part not in KNOWN:
                raise InvalidInput(
                    f"--with {text}: {part!r} is no part that can be replaced",
                    hint=suggestion(part, KNOWN, f"write one of {', '.join(KNOWN)}, as in core=127.0.0.1:15010"),
                )
            if not host or not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65535):
                raise InvalidInput(
                    f"--with {text}: {address!r} is no address", hint=f"write it as {part}=127.0.0.1:15010"
                )
            if part in found:
                raise InvalidInput(f"--with {part} is given twice", hint="keep one of the two")
            found[part] = address
        if "core" in found and "discovery" in found:
            raise InvalidInput(
                "--with core and --with discovery together: a Discovery that is running already reads its own Core",
                hint=f"leave out core={found['core']}, and start that Discovery with --mcp {found['core']}",
            )
        return cls(**found)

    def check(self, loaded: LoadedScenario) -> None:
        """Raises InvalidInput for a scenario that needs a part of our own in the place of one of these."""
        self._check_guard(loaded)
        for placed in loaded.every_step():
            if isinstance(placed.step, Fault):
                self._check_fault(placed.step, placed.where)
        if self.own_core:
            return
        flag = f"--with core={self.core}" if self.core is not None else f"--with discovery={self.discovery}"
        whose = "that Core" if self.core is not None else "the Core behind that Discovery"
        spec = loaded.scenario.spec
        silent = {"core"} if self.discovery is None else {"core", "discovery"}
        for placed in loaded.every_step():
            step, kind = placed.step, placed.step.kind
            if isinstance(step, Apply | Bump | Edit | Delete):
                raise InvalidInput(
                    f"a step {kind} changes manifests, which goes to a Core of our own, not with {flag}",
                    where=placed.where,
                    hint=f"change the manifests of {whose} where it reads them, and only look at the outcome here,"
                    " by request and traffic",
                )
            if isinstance(step, Wait) and step.event is not None and step.event.partition(".")[0] in silent:
                raise InvalidInput(
                    f"the event {step.event} is of a part that is not ours, with {flag}",
                    where=placed.where,
                    hint="wait for an event of the agent, Envoy or traffic",
                )
        if len(spec.gateways) > 1:
            raise InvalidInput(
                f"with {flag} there can be one gateway only, since {whose} binds the listeners of all alike",
                where=loaded.where("spec", "gateways"),
                hint="keep one gateway, or leave --with out",
            )
        if spec.gateway.port is None:
            raise InvalidInput(
                f"with {flag} the gateway's port is what {whose} says, and the scenario does not name it",
                where=loaded.where("spec"),
                hint="write gateway: {port: …} with the --gateway-port of that Core",
            )

    def _check_guard(self, loaded: LoadedScenario) -> None:
        if self.registry is not None and "registry" in loaded.scenario.spec.model_fields_set:
            raise InvalidInput(
                f"spec.registry is about a registry of our own, not with --with registry={self.registry}",
                where=loaded.where("spec", "registry"),
                hint="leave --with out, or spec.registry, and guard that registry where it runs",
            )

    def _check_fault(self, fault: Fault, where: Location) -> None:
        if fault.on == REGISTRY and self.registry is not None:
            raise InvalidInput(
                f"{fault.fault_name} is a fault of our own registry, not with --with registry={self.registry}",
                where=where,
                hint="leave --with out, or put a network fault on agent-registry, which is there",
            )
        if fault.on == "core-discovery" and self.discovery is not None:
            raise InvalidInput(
                f"there is no link core-discovery in this run with --with discovery={self.discovery}",
                where=where,
                hint="put the fault on discovery-agent, or leave --with out",
            )

    async def reachable(self) -> None:
        """Raises EnvironmentProblem, saying how to start it, for a part that does not answer."""
        for part in KNOWN:
            address: str | None = getattr(self, part)
            if address is None:
                continue
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await (_ask_registry(address) if part == "registry" else _connect(address))
            except (OSError, aiohttp.ClientError, TimeoutError) as error:
                raise EnvironmentProblem(
                    f"no {part} answers at {address}: {error or 'timed out'}",
                    hint=f"start it first: ecdsim {part} --listen {address} …",
                ) from error


#: Every part is started.
OURS = ExternalParts()


async def _connect(address: str) -> None:
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.close()
    await writer.wait_closed()


async def _ask_registry(address: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/v2/") as response:
        if response.status != 200:
            raise aiohttp.ClientError(f"GET /v2/ was answered {response.status}")
