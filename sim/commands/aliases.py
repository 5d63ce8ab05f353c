"""Commands that answer to more than one name, as kubectl's and istioctl's do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click


class AliasedGroup(click.Group):
    """A group whose commands may have other names: they work, and stand behind the first one in the help."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._names: dict[str, str] = {}

    def add_aliased(self, command: click.Command, aliases: Iterable[str]) -> None:
        """Add a command under its own name and these."""
        self.add_command(command)
        for alias in aliases:
            self._names[alias] = str(command.name)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, self._names.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # Under its own name, or usage lines would show the alias.
        _, command, rest = super().resolve_command(ctx, args)
        return (None if command is None else command.name), command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click lists them, each with its other names."""
        listed = []
        for name in self.list_commands(ctx):
            command = self.commands[name]
            aliases = [alias for alias, meant in self._names.items() if meant == name]
            listed.append((", ".join([name, *aliases]), command))
        if listed:
            limit = formatter.width - 6 - max(len(names) for names, _ in listed)
            with formatter.section("Commands"):
                formatter.write_dl([(names, command.get_short_help_str(limit)) for names, command in listed])
