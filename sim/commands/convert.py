"""`ecdsim convert`: what Core makes of a WasmPlugin, without starting anything."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sim.errors import InvalidInput, Location

if TYPE_CHECKING:
    from sim.manifests import Manifest
    from sim.trace import Event


@click.command()
@click.option(
    "-f",
    "--filename",
    required=True,
    metavar="FILE",
    help="A manifest, a folder of them, or - for stdin.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["yaml", "json"]),
    default="yaml",
    show_default=True,
    help="How the objects on stdout are written.",
)
def convert(filename: str, output: str) -> int:
    """Print the Istio WasmPlugin that Core makes of each WasmPlugin.

    The objects are taken one after another, as Core would: Secrets that are referred to come before, an Istio
    WasmPlugin is passed on as it is. As from kubectl, several objects are one List in JSON. Exits with 1 when Core
    refuses one of them; why, in Higress' words, and where nothing comes of an object for other reasons, is on stderr.
    """
    from sim.core import Controller, CoreOptions, Store
    from sim.manifests import WASM_PLUGIN
    from sim.trace import Trace

    manifests = manifests_in(filename)
    store, trace = Store(), Trace()
    controller = Controller(store, CoreOptions(), trace)
    names: dict[str, None] = {}
    refused = False
    for manifest in manifests:
        seen = len(trace.events)
        store.apply(manifest)
        for event in trace.events[seen:]:
            told, is_refusal = said(manifest, event)
            if told is not None:
                click.echo(f"{manifest.location}: {manifest.kind} {manifest.key}: {told}", err=True)
            refused |= is_refusal
        if manifest.kind == WASM_PLUGIN:
            names[manifest.key] = None
        else:
            click.echo(f"{manifest.location}: {manifest.kind} {manifest.key}: read, not printed", err=True)
    _print(_converted(controller, names), output)
    return 1 if refused else 0


def _converted(controller: Any, names: dict[str, None]) -> list[dict[str, Any]]:
    from sim.core import istio_object

    held = {resource.name: resource.body for resource in controller.resources("WasmPlugin")}
    return [istio_object(name, held[name]) for name in names if name in held]


def manifests_in(filename: str) -> list[Manifest]:
    """The objects of a file, of a folder's files or, for `-`, of stdin; at least one. Raises InvalidInput."""
    from sim.manifests import load_manifests, parse_manifests

    if filename == "-":
        try:
            text = sys.stdin.buffer.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidInput(f"is not UTF-8: {error}", where=Location("stdin"), hint="pass YAML or JSON") from error
        manifests = parse_manifests(text, "stdin")
    else:
        manifests = load_manifests(Path(filename))
    if not manifests:
        raise InvalidInput("there is no object in it", where=Location("stdin" if filename == "-" else filename))
    return manifests


def said(manifest: Manifest, event: Event) -> tuple[str | None, bool]:
    """What to tell of an event, and whether it is a refusal."""
    if event.plugin != manifest.key:
        return None, False
    match event.event, event.span:
        case "core.apply", _ if "ignored" in event.data:
            return f"ignored, {event.data['ignored']}", False
        case "core.convert", "failed":
            return str(event.data["error"]), True
        case "core.convert", "completed" if event.data.get("outcome") == "disabled":
            return "none: everything in it is disabled, so Core makes no object of it", False
        case "core.template", "failed":
            return f"its reference stays as it is: {event.data['error']}", False
    return None, False


def _print(objects: list[dict[str, Any]], output: str) -> None:
    if output == "json":
        if objects:
            made = objects[0] if len(objects) == 1 else {"apiVersion": "v1", "kind": "List", "items": objects}
            click.echo(json.dumps(made, indent=2, ensure_ascii=False))
        return
    from sim.manifests import Document, Manifest, Metadata, dump_manifest

    texts = []
    for found in objects:
        metadata = Metadata(found["metadata"]["name"], found["metadata"]["namespace"])
        document = Document("convert", found, None)
        texts.append(
            dump_manifest(
                Manifest(found["apiVersion"], found["kind"], metadata, found, document.where(), _document=document)
            )
        )
    click.echo("---\n".join(texts), nl=False)
