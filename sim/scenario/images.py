"""The images of a scenario: which reference each has, and how it is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sim.errors import InvalidInput
from sim.oci import Image, ImageFormat, Reference, build_image, is_tag, is_wasm, parse_image_url, parse_reference
from sim.scenario.problems import near_file
from sim.scenario.schema import AnyImage, BundledImage, ElsewhereImage, FileImage
from sim.wasm import bundled, stamp
from sim.wasm.ballast import with_ballast

#: By which `ecdsim plugin build` knows a folder that it builds into main.wasm.
_SOURCES = ("go.mod", "Cargo.toml", "build.zig", "main.zig", "src/main.zig", "package.json", "*.c")


@dataclass(frozen=True)
class ResolvedImage:
    """An entry of `images`, checked. `written` is the reference in the author's words."""

    entry: BundledImage | FileImage
    reference: Reference
    written: str
    format: ImageFormat
    #: The bundled plugin, None for one's own module.
    plugin: str | None
    #: What is stamped into the module: the tag of a bundled plugin.
    version: str | None
    file: Path | None
    #: The response header in which a bundled plugin tells its version.
    version_header: str | None

    @cached_property
    def module(self) -> bytes:
        """The Wasm module. Raises InvalidInput when the file has gone since it was checked."""
        if self.plugin is not None and self.version is not None:
            made = stamp(bundled(self.plugin).module, self.version)
            functions = self.entry.functions if isinstance(self.entry, BundledImage) else None
            return made if functions is None else with_ballast(made, functions)
        assert self.file is not None
        try:
            return self.file.read_bytes()
        except OSError as error:
            raise InvalidInput(f"can't read {self.file}: {error}", hint="name a .wasm file that exists") from error

    def build(self) -> Image:
        """The image, ready to be pushed; always the same bytes."""
        return build_image(self.module, self.format, member=self.entry.member, layers=self.entry.layers or None)

    def as_written(self) -> dict[str, Any]:
        """The entry with its defaults."""
        written = self.entry.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {**{key: value for key, value in written.items() if value != []}, "as": self.written}


@dataclass(frozen=True)
class ForeignImage:
    """An entry of `images` that somebody else's registry has, checked. `written` is as the author has it."""

    entry: ElsewhereImage
    reference: Reference
    written: str

    @property
    def version(self) -> str | None:
        """What a `version_by` rule calls it: its tag, or, where it has none, its digest."""
        return self.reference.tag or self.reference.digest

    def as_written(self) -> dict[str, Any]:
        """The entry."""
        return {"ref": self.written}


class ImageProblem(InvalidInput):
    """An entry of `images` that can't be an image. `key` is the field that is to blame."""

    def __init__(self, key: str, message: str, hint: str | None) -> None:
        super().__init__(message, hint=hint)
        self.key = key


def resolve_image(entry: AnyImage, folder: Path) -> ResolvedImage:
    """Check an entry: its reference, its plugin, or its file, which starts at `folder`. Raises ImageProblem."""
    header = version = file = None
    plugin = None
    if isinstance(entry, BundledImage):
        with _blame("plugin"):
            found = bundled(entry.plugin)
        with _blame("tag"):
            if not is_tag(entry.tag):
                raise InvalidInput(
                    f"{entry.tag!r} is not a tag",
                    hint="a tag is 1 to 128 letters, digits, '_', '.' or '-', such as 2.0.0",
                )
            stamp(found.module, entry.tag)
        plugin, header, version = found.name, found.version_header, entry.tag
    else:
        file = folder / entry.file
        with _blame("file"):
            _check_wasm(file, entry.file)
    if entry.member is not None and entry.format == "artifact" and not entry.layers:
        with _blame("member"):
            raise InvalidInput("an image of the format artifact has no archive", hint="leave member out")
    with _blame("as"):
        reference = parse_reference(entry.reference_text)
        if reference.digest is not None:
            raise InvalidInput(
                f"{entry.reference_text!r} names a digest, which the image has only once it is made",
                hint="name it by a tag; its digest is in the registry's answer and in the trace",
            )
    return ResolvedImage(
        entry=entry,
        reference=reference,
        written=entry.reference_text,
        format=entry.format,
        plugin=plugin,
        version=version,
        file=file,
        version_header=header,
    )


def foreign_image(entry: ElsewhereImage) -> ForeignImage:
    """Check the reference, as the agent will read it. Raises ImageProblem."""
    with _blame("ref"):
        return ForeignImage(entry, parse_image_url(entry.ref), entry.ref)


@contextmanager
def _blame(key: str) -> Iterator[None]:
    try:
        yield
    except InvalidInput as error:
        raise ImageProblem(key, error.message, error.hint) from error


def _check_wasm(file: Path, written: str) -> None:
    try:
        with file.open("rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise InvalidInput(f"{written} can't be read: {error.strerror}", hint=_where_is(file)) from error
    if not is_wasm(head):
        raise InvalidInput(
            f"{written} is not a Wasm module: it does not begin with \\0asm",
            hint="name the compiled .wasm file, not its source and not an archive of it",
        )


def _where_is(file: Path) -> str:
    """What to do about a module that can't be read."""
    sources = (path for pattern in _SOURCES for path in file.parent.glob(pattern))
    if file.name == "main.wasm" and not file.exists() and any(sources):
        return f"build it first: ecdsim plugin build {file.parent}"
    near = near_file(file)
    return f"did you mean {near}?" if near else f"relative paths start at the scenario's folder, {file.parent}"
