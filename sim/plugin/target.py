"""What a plugin is named by: a file, or an image in a registry."""

from __future__ import annotations

import os
from pathlib import Path

from sim.errors import EnvironmentProblem, InvalidInput
from sim.oci import Reference, parse_reference
from sim.oci.fetch_error import MAX_BYTES
from sim.wasm import bundled_names

_SCHEME = "oci://"
_FILE_ENDINGS = (".wasm", ".tar", ".gz", ".tgz", ".wat")


def target(text: str) -> Path | Reference:
    """A file where there is one of that name, else the reference that names its registry.

    A short name such as `busybox` would be Docker Hub's; here it needs `oci://`, for it is rather a file that is
    missing. Raises InvalidInput.
    """
    path = Path(text)
    if text and not text.startswith(_SCHEME) and path.exists():
        return path
    if text.startswith(_SCHEME) or _names_a_registry(text):
        return parse_reference(text)
    raise InvalidInput(
        f"there is no file {text or repr(text)}",
        hint="name a .wasm file, or an image with its registry, such as 127.0.0.1:5000/plugins/mine:1.0.0",
    )


def is_bundled(text: str) -> bool:
    """Whether it is the name of a bundled plugin, and not of a file."""
    return text in bundled_names() and not Path(text).exists()


def read_file(path: Path, what: str = "name the compiled .wasm file; ecdsim plugin build DIR makes it") -> bytes:
    """A file's content, of at most 256 MiB and a byte. Raises InvalidInput; `what` says which file is wanted."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except IsADirectoryError as error:
        raise InvalidInput(f"{path} is a folder", hint=what) from error
    except FileNotFoundError as error:
        raise InvalidInput(f"there is no file {path}", hint=what) from error
    except OSError as error:
        raise InvalidInput(f"{path} can't be read: {error.strerror}", hint="see to its permissions") from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file, which appears whole or not at all. Raises EnvironmentProblem."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise EnvironmentProblem(
            f"{path} can't be written: {error.strerror}", hint="name a file in a folder that can be written to"
        ) from error


def _names_a_registry(text: str) -> bool:
    head, slash, _ = text.partition("/")
    if not slash or head in ("", ".", "..", "~") or text.endswith(_FILE_ENDINGS):
        return False
    return "." in head or ":" in head
