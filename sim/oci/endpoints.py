"""Where a registry is reached: its own address, or the one that a mirror table gives, and by which scheme."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sim.oci.fetch_error import FetchError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One way to reach a registry: a base URL without a trailing slash."""

    base_url: str
    verify: bool = True


class Endpoints:
    """Maps a registry's name in a reference to the endpoints to try, in order.

    `mirrors` maps a registry to the address that answers for it (`host:port`, plain HTTP, or a whole URL), as
    containerd's mirror table does; the reference keeps its name. `allowed` names the registries that may be
    reached without a mirror; None allows all. `insecure` registries are asked without verifying their certificate.
    """

    def __init__(
        self,
        mirrors: Mapping[str, str],
        insecure: Collection[str] = (),
        allowed: Collection[str] | None = None,
        *,
        tls: bool = False,
    ) -> None:
        self._mirrors = mirrors
        self._insecure = insecure
        self._allowed = allowed
        self._tls = tls

    def of(self, registry: str) -> list[Endpoint]:
        """HTTPS first; plain HTTP after it for loopback and private addresses, as go-containerregistry has it.

        Where no private CA is configured such an address speaks plain HTTP, and HTTPS is not tried.
        Raises FetchError `download` for a registry that is neither mirrored nor allowed.
        """
        mirror = self._mirrors.get(registry)
        if mirror is not None:
            return [Endpoint(mirror.rstrip("/") if "://" in mirror else f"http://{mirror}")]
        if self._allowed is not None and registry not in self._allowed:
            raise FetchError(
                "download",
                f"the registry {registry} may not be reached",
                hint="give the image under spec.images, or allow the registry under spec.registries",
            )
        insecure = registry in self._insecure
        secure = Endpoint(f"https://{registry}", verify=not insecure)
        plain = Endpoint(f"http://{registry}")
        if is_local(registry):
            return [secure, plain] if self._tls else [plain]
        return [secure, plain] if insecure else [secure]


def is_local(registry: str) -> bool:
    """Whether a registry (`host[:port]`) may be asked by plain HTTP: loopback, or a private IPv4 address."""
    host = registry[1 : registry.find("]")] if registry.startswith("[") else registry.partition(":")[0]
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return address.is_loopback
    return host == "127.0.0.1" or any(address in network for network in _PRIVATE)


_PRIVATE = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
