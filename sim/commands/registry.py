"""`ecdsim registry`: an OCI registry by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.commands.addresses import Address, check_free
from sim.commands.part_options import data_dir_option, listen_option, make_writable

if TYPE_CHECKING:
    from sim.commands.alone import Ready
    from sim.trace import Trace


@click.command()
@listen_option
@data_dir_option("images")
def registry(listen: Address, data_dir: Path) -> int:
    """An OCI registry by itself.

    It speaks the distribution specification over plain HTTP, takes anybody's pushes, and keeps what it has in
    --data-dir. It is ready when it prints a line of JSON on stdout; SIGINT and SIGTERM end it, with 0.
    """
    from sim.commands.alone import run_alone
    from sim.oci.registry import Registry

    check_free("registry", listen)
    make_writable(data_dir, "--data-dir")

    @asynccontextmanager
    async def start(trace: Trace) -> AsyncIterator[Ready]:
        async with Registry(data_dir, trace, listen.host, listen.port) as running:
            yield {"listen": str(Address(listen.host, running.port))}

    return run_alone("registry", start)
