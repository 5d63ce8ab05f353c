"""`ecdsim plugin inspect`: what a module, an archive or an image is, and whether agent and Envoy load it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from sim.commands import statuses
from sim.commands.output import output_option, reading_may_end, write_data
from sim.commands.plugin_options import RegistryOptions, registry_options
from sim.commands.until_signal import run_async

if TYPE_CHECKING:
    from sim.plugin.examine import Examined
    from sim.wasm.inspect import ModuleReport, Problem


@click.command()
@click.argument("what", metavar="FILE|REF")
@output_option
@registry_options
def inspect(what: str, output: str, registry: RegistryOptions) -> int:
    """Look into a module, an archive of one, or an image in a registry.

    REF names its registry, such as 127.0.0.1:5000/plugins/mine:1.0.0; the image is taken apart by the agent's own
    rules. Exits with 1 when agent or Envoy would not load it; why, and what to do, is told.
    """
    examined = run_async(examine(what, registry))
    with reading_may_end():
        if output == "table":
            for line in lines(examined):
                click.echo(line)
        else:
            write_data(examined.as_dict(), output)
    if output != "table":
        say_problems(examined.problems)
    return statuses.PASSED if examined.loadable else statuses.FAILED


async def examine(what: str, registry: RegistryOptions) -> Examined:
    """A file where there is one of that name, else a bundled plugin, else an image. Raises SimError."""
    from pathlib import Path

    from sim.plugin.examine import examine_file, examine_image, examine_module
    from sim.plugin.target import is_bundled, target
    from sim.wasm import bundled

    if is_bundled(what):
        return examine_module(what, bundled(what).module)
    found = target(what)
    if isinstance(found, Path):
        return examine_file(found)
    return await examine_image(found, await registry.access(found.registry))


def lines(examined: Examined) -> Iterator[str]:
    """For a terminal: a name and what it is on each line."""
    yield f"{'name':<12}{examined.name}"
    yield f"{'kind':<12}{_kind(examined)}"
    layout = examined.layout
    if layout is not None:
        yield f"{'digest':<12}{layout.digest}"
        for number, layer in enumerate(layout.layers, 1):
            title = f"  {layer.title}" if layer.title else ""
            yield f"{f'layer {number}':<12}{kilobytes(layer.size_bytes):>9}  {layer.media_type}{title}"
            yield f"{'':<23}{layer.digest}"
    if examined.members:
        yield f"{'holds':<12}{', '.join(examined.members)}"
    if examined.module is not None:
        yield from _module(examined.module)
    yield f"{'loadable':<12}{'yes' if examined.loadable else 'no'}"
    for problem in examined.problems:
        yield f"{'problem' if problem.fatal else 'note':<12}{problem.what}"
        yield f"{'':<12}→ {problem.hint}"


def _kind(examined: Examined) -> str:
    size = "" if examined.size_bytes is None else f", {kilobytes(examined.size_bytes)}"
    if examined.layout is not None:
        count = len(examined.layout.layers)
        return f"image, format {examined.layout.format}{size} in {count} layer{'' if count == 1 else 's'}"
    return {"module": "Wasm module", "archive": "archive", "image": "image"}.get(
        examined.kind, "neither a module nor an archive"
    ) + size


def _module(module: ModuleReport) -> Iterator[str]:
    from sim.wasm.abi import abi_number

    made = [module.origin.language or "unknown language", *module.origin.tools]
    yield f"{'module':<12}{kilobytes(module.size_bytes)}, sha256 {module.sha256}"
    yield f"{'made by':<12}{', '.join(made)}"
    if module.origin.sdks:
        yield f"{'SDK':<12}{', '.join(module.origin.sdks)}"
    if module.version:
        yield f"{'version':<12}{module.version}"
    yield f"{'ABI':<12}{', '.join(map(abi_number, module.abis)) or 'none'}"
    yield f"{'exports':<12}{_names(module.exports, 'proxy_on_')}"
    yield f"{'imports':<12}{_names(module.imports, 'env.proxy_')}"
    loads_on = module.loads_on
    since = f" (since {loads_on.since[0]}.{loads_on.since[1]})" if loads_on.since else ""
    yield f"{'stock Envoy':<12}{loads_on.verdict}{since}: {loads_on.why}"


def _names(names: Sequence[str], prefix: str) -> str:
    """How many, and the telling ones without what they all begin with."""
    telling = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    return f"{len(names)}" + (f", among them {prefix}: {' '.join(telling)}" if telling else "")


def say_problems(problems: Sequence[Problem]) -> None:
    """On stderr, for whoever only gets data on stdout."""
    for problem in problems:
        click.echo(f"{'problem' if problem.fatal else 'note'}: {problem.what}\n  hint: {problem.hint}", err=True)


def kilobytes(size_bytes: int | None) -> str:
    """A size for people: `465 B`, `49.4 kB`, `6.1 MB`."""
    if size_bytes is None:
        return "–"
    if size_bytes < 1000:
        return f"{size_bytes} B"
    return f"{size_bytes / 1e3:.1f} kB" if size_bytes < 1_000_000 else f"{size_bytes / 1e6:.1f} MB"
