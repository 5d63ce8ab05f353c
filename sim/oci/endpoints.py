"""Where a registry is reached: its own address, or the one that a mirror table gives, and by which scheme."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sim.oci.fetch_error import FetchError

#: In a list of insecure registries: all of them (WASM_INSECURE_REGISTRIES=*).
ALL = "*"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One way to reach a registry: a base URL without a trailing slash."""

    base_url: str
    verify: bool = True


class Endpoints:
    """Maps a registry's name in a reference to the endpoints to try, in order.

    `mirrors` maps a registry to the address that answers for it (`host:port`, plain HTTP, or a whole URL), as
    containerd's mirror table does; the reference keeps its name. `allowed` names the registries that may be
    reached without a mirror; None allows all. `insecure` registries (`*`: all) are asked without verifying their
    certificate.
    """

    def __init__(
        self,
        mirrors: Mapping[str, str],
        insecure: Collection[str] = (),
        allowed: Collection[str] | None = None,
    ) -> None:
        self._mirrors = mirrors
        self._insecure = insecure
        self._allowed = allowed

    def of(self, registry: str) -> list[Endpoint]:
        """HTTPS first; plain HTTP after it for what is taken for a local address.

        Raises FetchError `download` for a registry that is neither mirrored nor allowed.
        """
        mirror = self._mirrors.get(registry)
        if mirror is not None:
            return [Endpoint(mirror.rstrip("/") if "://" in mirror else f"http://{mirror}")]
        if self._allowed is not None and registry not in self._allowed:
            raise FetchError(
                "download",
                f"the registry {registry} may not be reached",
                hint="give the image under spec.images, as {ref: oci://…} where that registry has it already",
            )
        insecure = registry in self._insecure or ALL in self._insecure
        secure = Endpoint(f"https://{registry}", verify=not insecure)
        return [secure, Endpoint(f"http://{registry}")] if is_local(registry) else [secure]


def is_local(registry: str) -> bool:
    """Whether a registry (`host[:port]`) may be asked by plain HTTP, as go-containerregistry's `name.Registry` has it.

    It takes loopback and private IPv4 addresses and the names that end in `.local` or `.localhost` for local, and
    whatever has 127.0.0.1 or ::1 anywhere in it.
    """
    if registry.startswith("localhost:") or _LOCAL_NAME.fullmatch(registry):
        return True
    if "127.0.0.1" in registry or "::1" in registry:
        return True
    try:
        address = ipaddress.IPv4Address(registry.partition(":")[0])
    except ValueError:
        return False
    return any(address in network for network in _PRIVATE)


_LOCAL_NAME = re.compile(r".*\.local(?:host)?(?::\d{1,5})?", re.ASCII)
_PRIVATE = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
