"""Core's settings."""

from __future__ import annotations

from dataclasses import dataclass

from sim.model import SYSTEM_NAMESPACE


@dataclass(frozen=True, slots=True)
class CoreOptions:
    """Defaults are those of Higress' flags, where it has such a flag.

    `namespace`: the one whose Higress WasmPlugins are read. `gateway_port`: where the gateway listens.
    `upstream`: address and port that answer for every service. `ingress_class`: only Ingresses of this class are
    read; the empty string reads all of them (a Helm installation of Higress sets `higress`).
    """

    namespace: str = SYSTEM_NAMESPACE
    gateway_selector_key: str = "higress"
    gateway_selector_value: str = f"{SYSTEM_NAMESPACE}-higress-gateway"
    gateway_port: int = 80
    upstream: tuple[str, int] = ("127.0.0.1", 80)
    ingress_class: str = ""

    @property
    def selector(self) -> dict[str, str]:
        """The labels of the gateway's pods."""
        return {self.gateway_selector_key: self.gateway_selector_value}
