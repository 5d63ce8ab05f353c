"""Looking into a plugin, as a file or as an image: what it is made of, and whether agent and Envoy load it.

The agent's own rules decide: the image is pulled by `OciFetcher`, an archive opened by `plugin_member`.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.oci import PLUGIN_FILE, FetchError, Reference, is_wasm, plugin_member, unboxed
from sim.oci.fetch_error import MAX_BYTES
from sim.plugin.access import Access
from sim.plugin.manifests import ImageLayout, read_layout
from sim.plugin.target import read_file
from sim.wasm import MalformedModule
from sim.wasm.inspect import ModuleReport, Problem, inspect_module, not_a_module

_GZIP_MAGIC = b"\x1f\x8b"
_WASM_MAGIC = b"\0asm"
_OTHER_COMPRESSION = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_MOST_NAMES = 20
_PACK_AGAIN = f"pack it again: tar czf plugin.tar.gz {PLUGIN_FILE}"


@dataclass(frozen=True, slots=True)
class Examined:
    """A plugin that was looked into. `kind` is `module`, `archive`, `image`, or `unknown` for a file that is neither.

    `layout` is an image's, `members` are an archive's files. `module` is what was found in it, even where the agent
    would not find it; `content` the module's bytes where the agent does.
    """

    name: str
    kind: str
    problems: tuple[Problem, ...]
    module: ModuleReport | None = None
    layout: ImageLayout | None = None
    members: tuple[str, ...] = ()
    size_bytes: int | None = None
    content: bytes | None = None

    @property
    def loadable(self) -> bool:
        """Whether agent and Envoy load it, the latter maybe with the shim."""
        return not any(problem.fatal for problem in self.problems)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; what does not apply is null."""
        return {
            "name": self.name,
            "kind": self.kind,
            "loadable": self.loadable,
            "size_bytes": self.size_bytes,
            "image": None if self.layout is None else self.layout.as_dict(),
            "members": list(self.members) if self.kind == "archive" else None,
            "module": None if self.module is None else self.module.as_dict(),
            "problems": [problem.as_dict() for problem in self.problems],
        }


def examine_file(path: Path) -> Examined:
    """Look into a module, or into an archive as a layer holds it. Raises InvalidInput for a file that can't be read."""
    content = read_file(path)
    name, size_bytes = str(path), path.stat().st_size
    if len(content) > MAX_BYTES:
        return Examined(name, "unknown", (_too_large(size_bytes),), size_bytes=size_bytes)
    if is_wasm(content):
        return examine_module(name, content)
    members = _members(content)
    if members:
        return _examine_archive(name, content, members)
    if members is not None and content:
        problem = Problem(f"it is an archive without a file, and the agent looks for {PLUGIN_FILE} in it", _PACK_AGAIN)
        return Examined(name, "archive", (problem,), size_bytes=size_bytes)
    return Examined(name, "unknown", (_no_module(content),), size_bytes=size_bytes)


def examine_module(name: str, content: bytes) -> Examined:
    """Look into a module that is at hand."""
    report, problems = _judged(content)
    return Examined(name, "module", problems, report, size_bytes=len(content), content=content)


async def examine_image(reference: Reference, access: Access) -> Examined:
    """Look into an image in its registry.

    Raises FetchError `download` or `timeout` where the registry can't be asked for it.
    """
    async with access.fetcher() as fetcher:
        try:
            prepared = await fetcher.prepare(reference, access.pull_secret)
        except FetchError as error:
            return Examined(str(reference), "image", (_image_problem(error),))
        layout = read_layout(prepared.manifest, prepared.digest)
        try:
            content = await prepared.fetch()
        except FetchError as error:
            problem = _image_problem(error)
            return Examined(str(reference), "image", (problem,), layout=layout, size_bytes=layout.size_bytes)
    report, problems = _judged(content)
    return Examined(str(reference), "image", problems, report, layout, size_bytes=layout.size_bytes, content=content)


def _image_problem(error: FetchError) -> Problem:
    """What is wrong with an image. Raises the error again where the registry could not be asked."""
    if error.reason in ("download", "timeout"):
        raise error
    return Problem(error.message, error.hint or "push the image again")


def _examine_archive(name: str, content: bytes, members: tuple[str, ...]) -> Examined:
    """An archive as `tar czf` makes it: the agent takes it for a layer, and looks for `plugin.wasm` in it."""
    try:
        module = plugin_member(content)
    except FetchError as error:
        problems = [_not_found(members, error) if content[:2] == _GZIP_MAGIC else _not_gzip(content)]
        inner = unboxed(content)
        report = _judged(inner)[0] if is_wasm(inner) else None
        return Examined(name, "archive", tuple(problems), report, members=members, size_bytes=len(content))
    report, found = _judged(module)
    if report is None:
        empty = Problem("it is empty", _PACK_AGAIN)
        found = tuple(
            Problem(f"{PLUGIN_FILE} in it: {problem.what}", problem.hint) for problem in (found if module else (empty,))
        )
    return Examined(name, "archive", found, report, members=members, size_bytes=len(content), content=module)


def _not_found(members: tuple[str, ...], error: FetchError) -> Problem:
    if any(Path(member).name == PLUGIN_FILE for member in members):
        return Problem(error.message, _PACK_AGAIN)
    if "manifest.json" in members or "oci-layout" in members:
        return Problem(
            "it is a saved image, not a layer", "push it to a registry, and inspect it there by its reference"
        )
    modules = [member for member in members if member.endswith(".wasm")]
    if not modules:
        return Problem(f"the archive holds no {PLUGIN_FILE}, only {', '.join(members[:5])}", _pack_hint("main.wasm"))
    return Problem(
        f"the agent looks for {PLUGIN_FILE} in an archive and finds only {', '.join(modules)}: pushed as a layer it "
        "is not loadable, and with FAIL_OPEN the gateway runs without the plugin and says nothing",
        _pack_hint(modules[0]),
    )


def _not_gzip(content: bytes) -> Problem:
    found = next((name for magic, name in _OTHER_COMPRESSION.items() if content.startswith(magic)), None)
    how = "is not compressed" if found is None else f"is compressed with {found}"
    return Problem(f"the archive {how}, and the agent takes a layer of tar+gzip only", "make it with tar czf")


def _no_module(content: bytes) -> Problem:
    """Why bytes are neither a module nor an archive."""
    if not content:
        return Problem("it is empty", "name the compiled .wasm file, not its source")
    if content.startswith(_WASM_MAGIC):
        return Problem(f"it is a Wasm module that is cut off after {len(content)} bytes", "build or copy it again")
    if content.startswith(_GZIP_MAGIC):
        try:
            inner = zlib.decompressobj(wbits=31).decompress(content, len(_WASM_MAGIC))
        except zlib.error:
            inner = b""
        if inner == _WASM_MAGIC:
            return Problem(
                "it is a Wasm module compressed with gzip, which neither agent nor Envoy unpacks",
                "gunzip it; for an image: tar czf plugin.tar.gz plugin.wasm",
            )
    return Problem(
        f"it is no Wasm module: it begins with {content[:4].hex(' ')}", "name the compiled .wasm file, not its source"
    )


def _pack_hint(module: str) -> str:
    return f"rename it before packing: cp {module} {PLUGIN_FILE} && tar czf plugin.tar.gz {PLUGIN_FILE}"


def _judged(content: bytes) -> tuple[ModuleReport | None, tuple[Problem, ...]]:
    try:
        report = inspect_module(content)
    except MalformedModule as error:
        return None, (not_a_module(error),)
    return report, report.problems


def _members(content: bytes) -> tuple[str, ...] | None:
    """The names in a tar archive, compressed or not, as far as it can be read; None for what is none."""
    names = None
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:*") as archive:
            names = []
            for _, member in zip(range(_MOST_NAMES), archive, strict=False):
                names.append(member.name)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError):
        # What was read before counts.
        pass
    return None if names is None else tuple(names)


def _too_large(size_bytes: int) -> Problem:
    return Problem(
        f"it has {size_bytes} bytes, and the agent takes no more than {MAX_BYTES >> 20} MiB",
        "a plugin is a few megabytes: push the module alone",
    )
