"""The API on a port of its own, over TLS: so kubectl sends its token as a token, and keeps it out of its URLs."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from sim.core import Store
from sim.errors import EnvironmentProblem
from sim.oci.private_ca import PrivateCa
from sim.web.kubernetes.app import kubernetes_app
from sim.web.kubernetes.kubeconfig import write_kubeconfig
from sim.web.kubernetes.shelf import Change

_GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class KubernetesApi:
    """A running API. `url` is `https://<address>:<port>`; `certificate_authority` is PEM."""

    url: str
    token: str
    certificate_authority: str

    def client_context(self) -> ssl.SSLContext:
        """For a client that trusts this server and no other."""
        return ssl.create_default_context(cadata=self.certificate_authority)

    def write_kubeconfig(self, path: Path) -> None:
        """Raises EnvironmentProblem."""
        write_kubeconfig(path, self.url, self.token, certificate_authority=self.certificate_authority)


@asynccontextmanager
async def kubernetes_server(
    store: Store, change: Change, token: str, *, listen: str = "127.0.0.1:0", hosts: Collection[str] = ()
) -> AsyncIterator[KubernetesApi]:
    """Serve while inside. `listen` is `host:port`, port 0 asks for a free one; `hosts` are more names of this machine.

    Raises EnvironmentProblem.
    """
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    authority = PrivateCa(*dict.fromkeys((host, "127.0.0.1", "localhost", *hosts)))
    context: ssl.SSLContext = authority.server_context()
    app = kubernetes_app(store, change, token, hosts=(host, *hosts))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, int(port), ssl_context=context)
        try:
            await site.start()
        except OSError as error:
            raise EnvironmentProblem(
                f"the Kubernetes API can't listen on {listen}: {os.strerror(error.errno or 0)}",
                hint="take another port, or port 0",
            ) from error
        bound = runner.addresses[0][1]
        shown = f"[{host}]" if ":" in host else host
        yield KubernetesApi(f"https://{shown}:{bound}", token, authority.ca_pem)
    finally:
        await runner.cleanup()
