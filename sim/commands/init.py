"""`ecdsim init`: a first scenario, with comments, that runs as it is."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import click

from sim.commands import statuses
from sim.commands.first_scenario import First, bundled_first, manifest_text, own_first, scenario_text
from sim.errors import EnvironmentProblem, InvalidInput

SCENARIO, MANIFEST, SCHEMA = "scenario.yaml", "wasmplugin.yaml", "scenario.schema.json"

#: Names of modules that say nothing of the plugin; the folder's name does.
_NAMELESS = ("main", "plugin", "release", "optimized", "module")
_DEFAULT_PLUGIN = "request-block"


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=Path())
@click.option(
    "--plugin",
    metavar="FILE.wasm|NAME",
    default=_DEFAULT_PLUGIN,
    show_default=True,
    help="A module of your own, or a bundled plugin.",
)
def init(folder: Path, plugin: str) -> int:
    """Write a first scenario into DIR (here, unless told otherwise): scenario.yaml with comments, the WasmPlugin that
    it applies, and the JSON Schema by which an editor completes and explains its keys.

    It runs as it is: ecdsim run DIR. A file that is there already is never touched; nothing is written then.
    """
    from sim.scenario.load import load_scenario
    from sim.scenario.schema import scenario_schema

    first = _first(plugin, folder)
    contents = {
        SCENARIO: scenario_text(first, SCHEMA, MANIFEST),
        MANIFEST: manifest_text(first),
        SCHEMA: json.dumps(scenario_schema(), indent=2, ensure_ascii=False) + "\n",
    }
    _write(folder, contents)
    load_scenario(folder)
    for name in contents:
        click.echo(str(folder / name))
    click.echo(f"run it: ecdsim run {folder}", err=True)
    return statuses.PASSED


def _first(plugin: str, folder: Path) -> First:
    """Raises InvalidInput for what is neither a module that a gateway can load nor a bundled plugin."""
    from sim.plugin.examine import examine_file
    from sim.wasm import bundled, bundled_names

    path = Path(plugin)
    if not path.exists() and path.suffix != ".wasm" and path.name == plugin:
        bundled(plugin)
        return bundled_first(plugin)
    examined = examine_file(path)
    if examined.kind != "module" or not examined.loadable:
        problem = next((problem for problem in examined.problems if problem.fatal), None)
        what = f"{plugin} is an archive" if problem is None else f"{plugin}: {problem.what}"
        hint = "name the .wasm file" if problem is None else problem.hint
        raise InvalidInput(what, hint=f"{hint}; bundled are {', '.join(bundled_names())}")
    return own_first(_name_of(path), os.path.relpath(path.resolve(), folder.resolve()))


def _name_of(path: Path) -> str:
    """A name that Kubernetes takes, by the module's file, or by its folder where the file is called as they all are."""
    whole = path.resolve()
    for text in (whole.stem, whole.parent.name):
        name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:50].strip("-")
        if name and name not in _NAMELESS:
            return name
    return "my-plugin"


def _write(folder: Path, contents: dict[str, str]) -> None:
    """All of the files or none. Raises InvalidInput where one is there already."""
    taken = [folder / name for name in contents if os.path.lexists(folder / name)]
    if taken:
        raise InvalidInput(
            f"there already: {', '.join(map(str, taken))}; nothing was written",
            hint="name another folder: ecdsim init DIR",
        )
    if os.path.lexists(folder) and not folder.is_dir():
        raise InvalidInput(f"{folder} is no folder", hint="name a folder, or a name that nothing has yet")
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            # Somebody else may have made it since.
            with (folder / name).open("x", encoding="utf-8") as file:
                written.append(folder / name)
                file.write(text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise EnvironmentProblem(
            f"can't write to {folder}: {error.strerror}", hint="name a folder that can be written to"
        ) from error
