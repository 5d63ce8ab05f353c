"""`ecdsim import`: a real gateway's configuration dump as a scenario."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from sim.commands import statuses
from sim.errors import EnvironmentProblem, InvalidInput, Location


@click.command("import")
@click.argument("dump", metavar="CONFIG_DUMP.JSON|-")
@click.option(
    "--out", "-d", type=click.Path(path_type=Path), help="The folder that is made.  [default: scenarios/imported]"
)
@click.option("--name", default="imported", show_default=True, help="The scenario's name.")
@click.option(
    "--image", "images", multiple=True, metavar="NAMESPACE/NAME=REFERENCE", help="The image of a plugin; repeatable."
)
@click.option(
    "--modules",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder with the .wasm files that the dump names; without it the plugin marker stands in for each.",
)
def import_dump_command(dump: str, out: Path | None, name: str, images: tuple[str, ...], modules: Path | None) -> int:
    """Make a scenario that reproduces the plugin chain of a gateway, from its Envoy's /config_dump.

    Listeners and extension configurations are read: each plugin, its place in the chain, its configuration, and what
    it does when it fails. Where the agent has rewritten the image to a file, say which image it was by --image.
    """
    from sim.scenario.dump_import import import_dump, scenario_of
    from sim.scenario.load import load_scenario

    folder = out or Path("scenarios") / name
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise InvalidInput(f"{folder} is there already", hint="choose another folder with --out, or remove it")
    data = _read(dump)
    found = import_dump(data, _images(images), modules)
    source = "stdin" if dump == "-" else Path(dump).name
    scenario, plugins = scenario_of(found, name, source)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "plugins.yaml").write_text(plugins, encoding="utf-8")
        (folder / "scenario.yaml").write_text(scenario, encoding="utf-8")
    except OSError as error:
        raise EnvironmentProblem(f"can't write {folder}: {error}", hint="choose another folder with --out") from error
    for remark in found.remarks:
        click.echo(f"note: {remark}", err=True)
    load_scenario(folder)
    count = f"{len(found.plugins)} {'plugin' if len(found.plugins) == 1 else 'plugins'}"
    click.echo(f"{folder}: {count}, profile {found.profile}; run it by ecdsim run {folder}")
    return statuses.PASSED


def _read(dump: str) -> dict[str, Any]:
    where = Location("stdin" if dump == "-" else dump)
    try:
        text = sys.stdin.read() if dump == "-" else Path(dump).read_text(encoding="utf-8")
        data = json.loads(text)
    except OSError as error:
        raise InvalidInput(f"can't be read: {error.strerror}", where=where, hint="name a saved /config_dump") from error
    except ValueError as error:
        raise InvalidInput(
            f"is no JSON: {error}", where=where, hint="save it by curl …/config_dump > config_dump.json"
        ) from error
    if not isinstance(data, dict) or not isinstance(data.get("configs"), list):
        raise InvalidInput("is no configuration dump", where=where, hint="it begins with configs: save a /config_dump")
    return data


def _images(texts: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in texts:
        key, equals, reference = text.partition("=")
        if not equals or key.count("/") != 1 or not reference:
            raise InvalidInput(
                f"--image: {text!r} does not name a plugin and its image",
                hint="write it as higress-system/request-block=registry.local/plugins/request-block:1.0.0",
            )
        found[key] = reference.removeprefix("oci://")
    return found
