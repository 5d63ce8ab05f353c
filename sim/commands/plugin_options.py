"""Options by which the plugin commands reach a registry."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sim.plugin.access import Access


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """What the user said of the registry."""

    plain_http: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    async def access(self, registry: str) -> Access:
        """How to reach it, as whom. Raises SimError."""
        from sim.plugin.access import access

        return await access(registry, plain_http=self.plain_http, user=self.username, password=self.password)


def registry_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--plain-http`, `--username` and `--password-stdin`, passed on as one argument, `registry`."""

    @click.option("--plain-http", is_flag=True, help="Without TLS, as loopback and private addresses always are asked.")
    @click.option("--username", "-u", metavar="NAME", help="Instead of what Docker's configuration says.")
    @click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
    @functools.wraps(command)
    def wrapped(*args: Any, plain_http: bool, username: str | None, password_stdin: bool, **more: Any) -> Any:
        password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
        return command(*args, registry=RegistryOptions(plain_http, username, password), **more)

    return wrapped
