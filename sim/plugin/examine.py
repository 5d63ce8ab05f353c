"""Looking into a plugin, as a file or as an image: what it is made of, and whether agent and Envoy load it.

The agent's own rules decide: the image is pulled by `OciFetcher`, an archive opened by `plugin_member`.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator
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
_MOST_NAMES = 20


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
    members = tuple(_members(content))
    if members:
        return _examine_archive(name, content, members)
    what = f"it is no Wasm module: it begins with {content[:4].hex(' ')}" if content else "it is empty"
    return Examined(
        name, "unknown", (Problem(what, "name the compiled .wasm file, not its source"),), size_bytes=size_bytes
    )


def examine_module(name: str, content: bytes) -> Examined:
    """Look into a module that is at hand."""
    report, problems = _judged(content)
    return Examined(name, "module", problems, report, size_bytes=len(content), content=content)


async def examine_image(reference: Reference, access: Access) -> Examined:
    """Look into an image in its registry.

    Raises FetchError `download` or `timeout` where the registry can't be asked for it.
    """
    async with access.fetcher() as fetcher:
        prepared = await fetcher.prepare(reference, access.pull_secret)
        layout = read_layout(prepared.manifest, prepared.digest)
        try:
            content = await prepared.fetch()
        except FetchError as error:
            if error.reason in ("download", "timeout"):
                raise
            problem = Problem(error.message, error.hint or "push the image again")
            return Examined(str(reference), "image", (problem,), layout=layout, size_bytes=layout.size_bytes)
    report, problems = _judged(content)
    return Examined(str(reference), "image", problems, report, layout, size_bytes=layout.size_bytes, content=content)


def _examine_archive(name: str, content: bytes, members: tuple[str, ...]) -> Examined:
    """An archive as `tar czf` makes it: the agent takes it for a layer, and looks for `plugin.wasm` in it."""
    try:
        module = plugin_member(content)
    except FetchError as error:
        problems = [_not_found(members, error) if content[:2] == _GZIP_MAGIC else _not_compressed()]
        inner = unboxed(content)
        report = _judged(inner)[0] if is_wasm(inner) else None
        return Examined(name, "archive", tuple(problems), report, members=members, size_bytes=len(content))
    report, found = _judged(module)
    return Examined(name, "archive", found, report, members=members, size_bytes=len(content), content=module)


def _not_found(members: tuple[str, ...], error: FetchError) -> Problem:
    if any(Path(member).name == PLUGIN_FILE for member in members):
        return Problem(error.message, error.hint or "pack it again")
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


def _not_compressed() -> Problem:
    return Problem(
        "the archive is not compressed, and the agent takes a layer of tar+gzip only", "make it with tar czf"
    )


def _pack_hint(module: str) -> str:
    return f"rename it before packing: cp {module} {PLUGIN_FILE} && tar czf plugin.tar.gz {PLUGIN_FILE}"


def _judged(content: bytes) -> tuple[ModuleReport | None, tuple[Problem, ...]]:
    try:
        report = inspect_module(content)
    except MalformedModule as error:
        return None, (not_a_module(error),)
    return report, report.problems


def _members(content: bytes) -> Iterator[str]:
    """The names in a tar archive, compressed or not; nothing for what is none."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:*") as archive:
            for _, member in zip(range(_MOST_NAMES), archive, strict=False):
                yield member.name
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError):
        return


def _too_large(size_bytes: int) -> Problem:
    return Problem(
        f"it has {size_bytes} bytes, and the agent takes no more than {MAX_BYTES >> 20} MB",
        "a plugin is a few megabytes: push the module alone",
    )
