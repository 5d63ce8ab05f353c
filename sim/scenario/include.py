"""`spec.include`: pieces that several scenarios share, put in front of a scenario's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.errors import InvalidInput, Location
from sim.manifests import Document
from sim.scenario.problems import InvalidScenario, near_file, suggestion

PIECE_KIND = "Piece"
#: What a piece may hold: lists come before the scenario's own, mappings are joined.
_LISTS = ("images", "steps", "expect", "fixed")
_MAPPINGS = ("traffic", "thresholds")


@dataclass(slots=True)
class Merged(Document):
    """A scenario with its pieces. Each place is told in the file where it was written."""

    #: By the path in the merged data: the piece, and the path there.
    origins: dict[tuple[str | int, ...], tuple[Document, tuple[str | int, ...]]] = field(default_factory=dict)

    def where(self, *path: str | int) -> Location:
        """The place of what stands at `path`, in the scenario's file or in a piece's."""
        for length in range(len(path), 0, -1):
            found = self.origins.get(path[:length])
            if found is not None:
                document, there = found
                rest = path[length:]
                return document.where(*there, *rest) if document is not self else Document.where(self, *there, *rest)
        return Document.where(self, *path)


def with_pieces(document: Document, read: Callable[[Path], Document]) -> Document:
    """The scenario with what it includes; itself where that is nothing.

    `read` gives a piece's document. Raises InvalidScenario for a piece that is none, or that is not there.
    """
    spec = document.data.get("spec")
    names = spec.get("include") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(names, list) or not names:
        return document
    folder = Path(document.file).parent
    merged: dict[str, Any] = {key: value for key, value in spec.items() if key != "include"}
    made = Merged(document.file, document.data, document.start, document.positions)
    lists: dict[str, list[Any]] = {key: [] for key in _LISTS}
    for index, name in enumerate(names):
        where = document.where("spec", "include", index)
        if not isinstance(name, str):
            raise InvalidScenario([InvalidInput("must be the path of a piece", where=where, hint="write - users.yaml")])
        piece = _piece(folder / name, folder, where, read)
        held = piece.data.get("spec") or {}
        for key in _LISTS:
            for position, item in enumerate(held.get(key) or []):
                made.origins["spec", key, len(lists[key])] = (piece, ("spec", key, position))
                lists[key].append(_moved(item, key, Path(name).parent))
        for key in _MAPPINGS:
            for word, value in (held.get(key) or {}).items():
                joined = merged.setdefault(key, {})
                if word in joined:
                    here = made.where("spec", key, word)
                    raise InvalidScenario(
                        [
                            InvalidInput(
                                f"{key}.{word} is also in {name}", where=here, hint="give one of them another name"
                            )
                        ]
                    )
                merged[key] = {**joined, word: value}
                made.origins["spec", key, word] = (piece, ("spec", key, word))
    for key in _LISTS:
        own = merged.get(key, [])
        if not isinstance(own, list):
            continue
        for position in range(len(own)):
            made.origins["spec", key, len(lists[key]) + position] = (made, ("spec", key, position))
        if lists[key] or own:
            merged[key] = [*lists[key], *own]
    made.data = {**document.data, "spec": merged}
    return made


def _piece(path: Path, folder: Path, where: Location, read: Callable[[Path], Document]) -> Document:
    if not path.is_file():
        near = near_file(path)
        hint = f"did you mean {near}? " if near else ""
        raise InvalidScenario(
            [
                InvalidInput(
                    f"there is no piece {os.path.relpath(path, folder)}",
                    where=where,
                    hint=f"{hint}relative paths start at {folder}",
                )
            ]
        )
    piece = read(path)
    problems = []
    if not isinstance(piece.data, dict) or piece.data.get("kind") != PIECE_KIND:
        problems.append(
            InvalidInput(
                "this is no piece of a scenario",
                where=piece.where("kind"),
                hint=f"begin with apiVersion: ecdsim/v1 and kind: {PIECE_KIND}, and go on with spec:",
            )
        )
    else:
        known = [*_LISTS, *_MAPPINGS]
        held = piece.data.get("spec") or {}
        problems += [
            InvalidInput(
                "unknown key",
                where=piece.where("spec", key),
                hint=suggestion(str(key), known, f"a piece has {', '.join(known)}"),
            )
            for key in held
            if key not in known
        ]
        problems += [
            InvalidInput("must be a list", where=piece.where("spec", key), hint="write each item after '- '")
            for key in _LISTS
            if not isinstance(held.get(key) or [], list)
        ]
        problems += [
            InvalidInput("must be a mapping", where=piece.where("spec", key), hint="write name: {…}")
            for key in _MAPPINGS
            if not isinstance(held.get(key) or {}, dict)
        ]
    if problems:
        raise InvalidScenario(problems)
    return piece


def _moved(item: Any, key: str, folder: Path) -> Any:
    """A list's item with its file named from the scenario's folder; a piece names it from its own."""
    if not isinstance(item, dict) or folder == Path():
        return item
    if key == "images":
        return _moved_file(item, folder)
    if key != "steps":
        return item
    moved = dict(item)
    if isinstance(moved.get("apply"), str):
        moved["apply"] = _moved_path(moved["apply"], folder)
    for kind in ("apply", "push"):
        if isinstance(moved.get(kind), dict):
            moved[kind] = _moved_file(moved[kind], folder)
    if isinstance(moved.get("repeat"), dict) and isinstance(moved["repeat"].get("steps"), list):
        moved["repeat"] = {
            **moved["repeat"],
            "steps": [_moved(inner, key, folder) for inner in moved["repeat"]["steps"]],
        }
    if isinstance(moved.get("parallel"), list):
        moved["parallel"] = [
            [_moved(inner, key, folder) for inner in branch]
            if isinstance(branch, list)
            else _moved(branch, key, folder)
            for branch in moved["parallel"]
        ]
    return moved


def _moved_file(item: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {**item, "file": _moved_path(item["file"], folder)} if isinstance(item.get("file"), str) else item


def _moved_path(file: str, folder: Path) -> str:
    return file if Path(file).is_absolute() else str(folder / file)
