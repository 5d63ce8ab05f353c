"""Options that several parts have, and checks of what they name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sim.commands.addresses import listen_address
from sim.errors import EnvironmentProblem

#: What click's decorators are.
Option = Callable[[Any], Any]

listen_option = click.option(
    "--listen", required=True, type=listen_address, metavar="HOST:PORT", help="Where to listen; port 0 is any free one."
)
profile_option = click.option(
    "--profile",
    metavar="NAME|FILE",
    help="Which real system is reproduced.  [default: higress]",
)
abi_shim_option = click.option(
    "--abi-shim",
    type=click.Choice(["auto", "off"]),
    help="Whether the agent renames the ABI of Higress' Go SDK, which stock Envoy does not know.  [default: as the "
    "profile says]",
)
debug_listen_option = click.option(
    "--debug-listen",
    type=listen_address,
    metavar="HOST:PORT",
    help="Serve /debug/ there, to anybody who can reach it; port 0 is any free one.",
)


def istio_setting(
    flag: str,
    variable: str,
    read: click.ParamType[Any] | Callable[[str], Any],
    default: str | int,
    meaning: str,
    *,
    metavar: str | None = "DURATION",
) -> Option:
    """A flag that one of Istio's environment variables sets too; the flag wins."""
    return click.option(
        flag,
        type=read,
        metavar=metavar,
        default=default,
        show_default=default != "",
        envvar=variable,
        show_envvar=True,
        help=meaning,
    )


def data_dir_option(kept: str) -> Option:
    """The required folder of a part; `kept` says what is in it."""
    return click.option(
        "--data-dir", required=True, type=click.Path(path_type=Path), help=f"Where {kept} are kept; made if need be."
    )


def make_writable(folder: Path, option: str) -> None:
    """See that the folder is there, or make it. Raises EnvironmentProblem."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentProblem(
            f"{option}: {folder} can't be made: {error.strerror}", hint="name a folder that can be written to"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise EnvironmentProblem(f"{option}: {folder} can't be written to", hint="name another folder")
