"""Core's debug pages: the converted configuration, as Higress' controller shows it on its port 8888."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sim.core.controller import Controller, Kind
from sim.core.mcp import Core
from sim.debug_pages import Page, debug_pages, kubernetes_object

#: In the order of the page. MCP's client chooses the version that it asks for; these are those that Higress keeps.
_API_VERSIONS: dict[Kind, str] = {
    "WasmPlugin": "extensions.istio.io/v1alpha1/WasmPlugin",
    "Gateway": "networking.istio.io/v1alpha3/Gateway",
    "ServiceEntry": "networking.istio.io/v1alpha3/ServiceEntry",
    "VirtualService": "networking.istio.io/v1alpha3/VirtualService",
}


def configz(controller: Controller) -> list[dict[str, Any]]:
    """Everything that Core serves at this moment, as Kubernetes objects."""
    return [
        kubernetes_object(api_version, resource.name, resource.body, created=resource.create_time)
        for kind, api_version in _API_VERSIONS.items()
        for resource in controller.resources(kind)
    ]


@asynccontextmanager
async def debug_server(part: Core, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Core's debug port, up while inside; yields its address. Raises EnvironmentProblem when it is taken."""
    page = Page("configz", "The Istio resources that Core serves", lambda _: configz(part.controller))
    async with debug_pages("core", [page], listen) as address:
        yield address
