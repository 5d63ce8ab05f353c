"""Options of the commands that run scenarios."""

from __future__ import annotations

from pathlib import Path

import click

envoy_option = click.option(
    "--envoy",
    metavar="PATH|VERSION",
    help="The Envoy: a binary, or a version that `ecdsim envoy install` fetched.  [default: $ENVOY, else the packaged "
    "one]",
)
profile_option = click.option("--profile", metavar="NAME|FILE", help="Another profile than the scenario's.")
fixed_option = click.option(
    "--fixed",
    multiple=True,
    metavar="NAME",
    help="Do not reproduce this bug of the profile, besides those that the scenario names; repeatable.",
)
wasm_log_option = click.option(
    "--wasm-log",
    type=click.Choice(["trace", "debug", "info"]),
    help="From which level on what plugins say gets into the trace, for ecdsim logs.  [default: as the scenario says,"
    " else info]",
)
runs_dir_option = click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where the run directory is made.",
)


def pinned_axes(envoy: str | None, profile: str | None) -> frozenset[str]:
    """The axes of a matrix in whose place the command line says what holds."""
    given = {"envoy": envoy, "profile": profile}
    return frozenset(axis for axis, value in given.items() if value is not None)
