"""Addresses on the command line: what they may look like, and whether one can be listened on."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from sim.errors import EnvironmentProblem

UNIX = "unix:"
#: sockaddr_un has room for so many, a null byte included.
_PATH_BYTES = 108


@dataclass(frozen=True, slots=True)
class Address:
    """`host:port`, brackets around an IPv6 host kept in `str` only."""

    host: str
    port: int

    @property
    def is_ip(self) -> bool:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """`unix:PATH`, as gRPC writes it."""

    path: Path

    def __str__(self) -> str:
        return f"{UNIX}{self.path}"


def parse_address(text: str, *, lowest_port: int = 1, ip: bool = False) -> Address:
    """Read `HOST:PORT`; `ip`: no host name. Raises ValueError."""
    host, _, port = text.rpartition(":")
    example = "127.0.0.1:15010"
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not Address(host, 0).is_ip:
            raise ValueError(f"{text!r}: {host!r} is no IPv6 address; write it as [::1]:15010")
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, as in [::1]:15010")
    if not host or any(character.isspace() or character == "/" for character in host):
        raise ValueError(f"{text!r} is not an address; write host and port, such as {example}")
    if not (port.isascii() and port.isdecimal() and lowest_port <= int(port) <= 65535):
        raise ValueError(
            f"{text!r}: {port!r} is not a port; write a number from {lowest_port} to 65535, such as {example}"
        )
    if ip and not Address(host, 0).is_ip:
        raise ValueError(f"{text!r}: {host!r} is no IP address, and Envoy looks up no name there; write {example}")
    return Address(host, int(port))


def address(text: str) -> Address:
    """An option's `HOST:PORT`, to be connected to. Raises click.BadParameter, as the others do."""
    return _for_option(text)


def ip_address(text: str) -> Address:
    """An option's `IP:PORT`, to be connected to."""
    return _for_option(text, ip=True)


def listen_address(text: str) -> Address:
    """An option's `HOST:PORT`, to be listened on; port 0 is any free one."""
    return _for_option(text, lowest_port=0)


def envoy_listen_address(text: str) -> Address | UnixAddress:
    """An option's `unix:PATH` or `IP:PORT`, to be listened on, for an Envoy to connect to."""
    if not text.startswith(UNIX):
        return _for_option(text, lowest_port=0, ip=True)
    path = text.removeprefix(UNIX)
    if not path:
        raise click.BadParameter(f"{text!r} names no path; write for instance unix:/tmp/xds.sock")
    length = len(os.fsencode(path))
    if length >= _PATH_BYTES:
        raise click.BadParameter(
            f"the path has {length} bytes, a Unix socket's may have {_PATH_BYTES - 1}; choose a shorter one"
        )
    return UnixAddress(Path(path))


def _for_option(text: str, *, lowest_port: int = 1, ip: bool = False) -> Address:
    try:
        return parse_address(text, lowest_port=lowest_port, ip=ip)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def check_free(part: str, address: Address | UnixAddress) -> None:
    """See that the address can be listened on. gRPC would say it less clearly, or take a live socket's path away.

    Raises EnvironmentProblem.
    """
    if isinstance(address, UnixAddress):
        _check_path(address.path, f"the {part} can't listen on {address}")
        return
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, number, _, target = found[0]
        with socket.socket(family, kind, number) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise EnvironmentProblem(
            f"the {part} can't listen on {address}: {why}",
            hint="stop what listens there, choose another address, or port 0 for whichever is free",
        ) from error


def _check_path(path: Path, taken: str) -> None:
    if not path.parent.is_dir():
        raise EnvironmentProblem(f"{taken}: there is no folder {path.parent}", hint="make it, or choose another path")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise EnvironmentProblem(f"{taken}: {path.parent} can't be written to", hint="choose another path")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise EnvironmentProblem(f"{taken}: something else is there", hint="move it away, or choose another path")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            # Nobody listens any more: it was left by a process that was killed.
            path.unlink()
            return
        except OSError as error:
            raise EnvironmentProblem(f"{taken}: {error.strerror or error}", hint="choose another path") from error
    raise EnvironmentProblem(f"{taken}: another process listens there", hint="stop it, or choose another path")


@contextmanager
def socket_removed(address: Address | UnixAddress) -> Iterator[None]:
    """A Unix socket's file is gone when left, whoever made it."""
    try:
        yield
    finally:
        if isinstance(address, UnixAddress):
            address.path.unlink(missing_ok=True)
