"""A module and what belongs to it, packed as users pack it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sim.errors import InvalidInput
from sim.oci import PLUGIN_FILE, Blob, Image, ImageFormat, build_image, is_wasm
from sim.oci.fetch_error import MAX_BYTES
from sim.oci.media_types import WASM_DOC, WASM_SPEC
from sim.plugin.target import read_file

_DOCUMENTS = {WASM_SPEC: "spec", WASM_DOC: "readme"}


@dataclass(frozen=True, slots=True)
class Packing:
    """How a module is packed. `member` is its name in the archive, None for the format's own: `plugin.wasm`, in the
    guide's the file's. `spec` and `readme` are documents that only the guide's format has a place for."""

    format: ImageFormat = "docker"
    member: str | None = None
    spec: Path | None = None
    readme: Path | None = None


def pack(file: Path, packing: Packing) -> Image:
    """The image of a module's file; the same files always give the same bytes.

    Raises InvalidInput for a file that is no Wasm module, and for what the format has no place for.
    """
    module = read_file(file)
    if not is_wasm(module):
        raise InvalidInput(
            f"{file} is not a Wasm module: it does not begin with \\0asm",
            hint="name the compiled .wasm file; it is packed into an archive where the format wants one",
        )
    if len(module) > MAX_BYTES:
        raise InvalidInput(
            f"{file} has more than {MAX_BYTES >> 20} MiB, and the agent takes none larger",
            hint="look at how it is built",
        )
    member = packing.member
    if packing.format == "guide":
        member = member or file.name
    documents = {WASM_SPEC: packing.spec, WASM_DOC: packing.readme}
    given = {media_type: path for media_type, path in documents.items() if path is not None}
    if given and packing.format != "guide":
        names = " and ".join(f"--{_DOCUMENTS[media_type]}" for media_type in given)
        raise InvalidInput(f"the format {packing.format} has no place for {names}", hint="use --format guide")
    image = build_image(module, packing.format, member=member)
    return _with_documents(
        image,
        {
            media_type: read_file(path, f"name the file for --{_DOCUMENTS[media_type]}")
            for media_type, path in given.items()
        },
    )


def member_name(file: Path, packing: Packing) -> str | None:
    """The module's name in the image's archive; None where there is no archive."""
    if packing.format == "artifact":
        return None
    return packing.member or (file.name if packing.format == "guide" else PLUGIN_FILE)


def _with_documents(image: Image, documents: dict[str, bytes]) -> Image:
    """The image with these documents in place of its own."""
    if not documents:
        return image
    layers = tuple(
        Blob(layer.media_type, documents.get(layer.media_type, layer.content), layer.annotations)
        for layer in image.layers
    )
    manifest = json.loads(image.manifest)
    manifest["layers"] = [layer.descriptor() for layer in layers]
    return Image(image.media_type, json.dumps(manifest, separators=(",", ":")).encode(), image.config, layers)
