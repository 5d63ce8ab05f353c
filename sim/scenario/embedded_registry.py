"""The run's own registry: what stays the same while the part itself is restarted."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sim.oci import Image, Reference, Registry, push
from sim.oci.private_ca import PrivateCa
from sim.oci.registry.faults import PullFaults
from sim.oci.registry.store import Store
from sim.scenario.registry_spec import RegistrySpec
from sim.trace import Trace

_HOST = "127.0.0.1"


class EmbeddedRegistry:
    """Guarded as `spec` says. `pull_faults` are asked about every pull, whichever process answers it.

    Tokens that were given, and the certificate, survive a restart.
    """

    def __init__(self, spec: RegistrySpec, data_dir: Path, trace: Trace) -> None:
        self._data_dir = data_dir
        self._trace = trace
        self._auth = spec.auth.guard() if spec.auth is not None else None
        self._login = spec.auth.login if spec.auth is not None else None
        self._ca = PrivateCa(_HOST, "localhost") if spec.tls else None
        self._tls = self._ca.server_context() if self._ca is not None else None
        self.pull_faults = PullFaults(Store(data_dir), self._auth)
        #: What an agent needs to trust it; None without TLS.
        self.trust: ssl.SSLContext | None = self._ca.client_context() if self._ca is not None else None

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[Registry]:
        """The part, up while inside. Port 0 asks the kernel. Raises EnvironmentProblem when the port is taken."""
        registry = Registry(self._data_dir, self._trace, _HOST, port, auth=self._auth, ssl_context=self._tls)
        self.pull_faults.store = registry.store
        registry.faults.append(self.pull_faults)
        async with registry:
            yield registry

    def mirror(self, address: str) -> str:
        """What an agent's mirror table says of the registry where `address` (`host:port`) leads to it."""
        return address if self._ca is None else f"https://{address}"

    async def push(self, image: Image, reference: Reference, address: str) -> None:
        """Push as a user who may, past every fault. Raises EnvironmentProblem."""
        with self.pull_faults.suspended():
            await push(
                image,
                reference,
                address,
                insecure=self._ca is None,
                user=self._login.username if self._login is not None else None,
                password=self._login.password if self._login is not None else "",
                ca_pem=self._ca.ca_pem if self._ca is not None else None,
            )
