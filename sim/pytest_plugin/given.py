"""What a test gives to be applied, in any of the forms in which it may have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.manifests import Manifest

#: A manifest file or a folder of them, YAML text, an object as data, or several of these.
Manifests = str | PathLike[str] | Mapping[str, Any] | Sequence["Manifests"]


def given_manifests(given: Manifests, folders: Sequence[Path], source_name: str) -> list[Manifest]:
    """The objects, in order. Text of several lines is YAML. Raises InvalidInput."""
    from sim.manifests import load_manifests, manifest_from, parse_manifests

    if isinstance(given, str) and "\n" in given:
        return parse_manifests(given, source_name)
    if isinstance(given, str | PathLike):
        return load_manifests(given_path(given, folders))
    if isinstance(given, Mapping):
        content = dict(given)
        if content.get("kind") == "List" and isinstance(content.get("items"), Sequence):
            return given_manifests(content["items"], folders, source_name)
        return [manifest_from(content, source_name)]
    return [manifest for each in given for manifest in given_manifests(each, folders, source_name)]


def given_path(given: str | PathLike[str], folders: Sequence[Path]) -> Path:
    """From the first of the folders in which it is; from the first of all where it is in none."""
    return next((folder / given for folder in folders if (folder / given).exists()), folders[0] / given)
