"""A Kubernetes API with a store behind it, and a stock kubectl that knows nothing but its kubeconfig."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from sim.core import Key, Store
from sim.manifests import Manifest
from sim.web.kubernetes import Change, KubernetesApi, kubernetes_server
from tests.needs import needed_program

TOKEN = "only-for-this-test"
PATIENCE_S = 60

#: What the guide to one's own plugins applies, in other words.
PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata:
  name: my-plugin
  namespace: higress-system
spec:
  url: oci://registry.example/plugins/my-plugin:1.0.0
  phase: UNSPECIFIED_PHASE
  priority: 100
  defaultConfig:
    mockEnable: false
    content: a greeting
"""
KEY = Key("extensions.higress.io/v1alpha1", "WasmPlugin", "higress-system", "my-plugin")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a kubectl left behind."""

    status: int
    out: str
    err: str

    def ok(self) -> str:
        """Its output. Fails where it failed."""
        assert self.status == 0, f"{self.status}: {self.out}{self.err}"
        return self.out

    def refused(self) -> str:
        """What it complained of. Fails where it succeeded."""
        assert self.status != 0, self.out
        return self.err


@dataclass(frozen=True, slots=True)
class Kubectl:
    """A program and a home of its own, so that nothing of the user's is read or written."""

    program: Path
    kubeconfig: Path
    home: Path

    async def __call__(self, *arguments: str, stdin: str | None = None, editor: str | None = None) -> Ran:
        """`editor` is a sed script that takes the editor's place."""
        process = await self.start(*arguments, editor=editor)
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate(stdin.encode() if stdin is not None else None)
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())

    async def start(self, *arguments: str, editor: str | None = None) -> asyncio.subprocess.Process:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TMPDIR": str(self.home)}
        if editor is not None:
            script = self.home / "editor"
            script.write_text(f"#!/bin/sh\nexec sed -i '{editor}' \"$1\"\n")
            script.chmod(0o755)
            environment["KUBE_EDITOR"] = str(script)
        return await asyncio.create_subprocess_exec(
            str(self.program),
            f"--kubeconfig={self.kubeconfig}",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )

    @asynccontextmanager
    async def lines(self, *arguments: str) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of one that goes on until it is left."""
        process = await self.start(*arguments)
        assert process.stdout is not None

        async def read(stream: asyncio.StreamReader) -> AsyncIterator[str]:
            while True:
                async with asyncio.timeout(PATIENCE_S):
                    line = await stream.readline()
                if not line:
                    return
                yield line.decode().rstrip("\n")

        try:
            yield read(process.stdout)
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.communicate()

    async def is_new(self) -> bool:
        """From 1.27 on fields are validated by the server; before, by kubectl and OpenAPI 2."""
        said = (await self("version", "--client")).out
        match = re.search(r"v1\.(\d+)\.", said)
        assert match is not None, said
        return int(match[1]) >= 27


@dataclass(frozen=True, slots=True)
class World:
    store: Store
    api: KubernetesApi
    kubectl: Kubectl

    def spec(self, key: Key = KEY) -> dict[str, object]:
        """The spec that the store holds."""
        found = self.store.get(key)
        assert found is not None
        return found.spec


def straight_to(store: Store) -> Change:
    """Changes that nobody but the store hears of."""

    async def change(what: Manifest | Key) -> None:
        if isinstance(what, Key):
            store.delete(what)
        else:
            store.apply(what)

    return change


@asynccontextmanager
async def api_world(store: Store | None = None) -> AsyncIterator[tuple[KubernetesApi, aiohttp.ClientSession]]:
    """The API and a client that trusts it and has its token."""
    store = store if store is not None else Store()
    async with (
        kubernetes_server(store, straight_to(store), TOKEN) as api,
        aiohttp.ClientSession(
            api.url,
            headers={"Authorization": f"Bearer {TOKEN}", "User-Agent": "conversation"},
            connector=aiohttp.TCPConnector(ssl=api.client_context()),
        ) as session,
    ):
        yield api, session


@asynccontextmanager
async def kubectl_world(home: Path, change: Change | None = None, store: Store | None = None) -> AsyncIterator[World]:
    """Skipped, loudly, where there is no kubectl."""
    program = needed_program("kubectl", "the Kubernetes API is not tested with it", package="kubernetes-client")
    store = store if store is not None else Store()
    async with kubernetes_server(store, change or straight_to(store), TOKEN) as api:
        kubeconfig = home / "kubeconfig"
        api.write_kubeconfig(kubeconfig)
        yield World(store, api, Kubectl(program, kubeconfig, home))
