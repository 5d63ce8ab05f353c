"""`ecdsim plugin build`: from a folder of sources to a module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.commands import statuses
from sim.commands.output import output_choice, reading_may_end, write_data
from sim.commands.until_signal import run_async

if TYPE_CHECKING:
    from sim.plugin.toolchains import Build


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--to", "wanted", metavar="FILE", type=click.Path(path_type=Path), help="The module.  [default: DIR/main.wasm]"
)
@output_choice("table", "json", "yaml")
def build(folder: Path, wanted: Path | None, output: str) -> int:
    """Build the plugin in DIR: Go, Rust, Zig, C or AssemblyScript, by the files that are there.

    The toolchain is the one on this machine; where it is missing, what to install is said. Exits with 1 when it
    refuses the sources, and when what it built is no module that Envoy loads.
    """
    from sim.commands.plugin_inspect import kilobytes, say_problems
    from sim.plugin.building import build as build_plugin
    from sim.plugin.examine import examine_file

    built = run_async(build_plugin(folder, wanted, _announce))
    examined = examine_file(built.path)
    module = examined.module
    with reading_may_end():
        if output == "table":
            verdict = "not loadable" if module is None else f"{_abi(module.abis)}, {_loads(module.loads_on.verdict)}"
            click.echo(f"{built.path}  {kilobytes(examined.size_bytes)}  {verdict}  ({built.seconds:.1f} s)")
        else:
            data = {
                "path": str(built.path),
                "language": built.language,
                "command": built.command,
                "seconds": round(built.seconds, 3),
                "size_bytes": examined.size_bytes,
                "abi": [] if module is None else list(module.as_dict()["abi"]),
                "loads_on": None if module is None else module.loads_on.as_dict(),
                "problems": [problem.as_dict() for problem in examined.problems],
            }
            write_data(data, output)
    say_problems(examined.problems)
    return statuses.PASSED if examined.loadable else statuses.FAILED


def _announce(made: Build) -> None:
    click.echo(f"{made.language}: {made.shown()}", err=True)


def _abi(names: tuple[str, ...]) -> str:
    from sim.wasm.abi import abi_number

    return f"ABI {', '.join(map(abi_number, names))}" if names else "no ABI"


def _loads(verdict: str) -> str:
    return {"yes": "stock Envoy loads it", "with shim": "stock Envoy loads it with the ABI shim"}.get(
        verdict, "stock Envoy does not load it"
    )
