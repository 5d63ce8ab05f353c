"""A folder of manifests, kept in a store: read once, or looked at again and again for what was saved since."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from sim.core import Key
from sim.errors import InvalidInput, Location
from sim.manifests import Manifest, load_manifests

#: A change counts once it looked the same twice: an editor may empty a file before it writes it.
_LOOK_S = 0.1
_SUFFIXES = (".yaml", ".yml", ".json")

#: What tells one state of a file from another: time of modification (ns), size (bytes), inode.
_Seen = dict[Path, tuple[int, int, int]]


class Target(Protocol):
    """What a folder's objects are put into: a store, or whoever makes steps of them."""

    def apply(self, manifest: Manifest, /) -> object: ...
    def delete(self, key: Key, /) -> object: ...


class ManifestFolder:
    """The objects in a folder's files, put into `target`. Objects that others put there are let be."""

    def __init__(self, path: Path, target: Target) -> None:
        self._path = path
        self._target = target
        self._read: _Seen = {}
        #: Of each file that is there, the objects that it held when it could last be read.
        self._objects: dict[Path, tuple[Manifest, ...]] = {}
        self._applied: dict[Key, Manifest] = {}

    def load(self, *, may_be_empty: bool = False) -> None:
        """Apply everything. Raises InvalidInput, with the place, before anything is applied."""
        seen = self._look()
        if not seen and not may_be_empty:
            raise InvalidInput(
                "there is no manifest in this folder",
                where=Location(str(self._path)),
                hint="put a .yaml file there, or start with --watch and put it there later",
            )
        self._objects = {file: tuple(load_manifests(file)) for file in seen}
        self._read = seen
        self._apply(self._merged())

    async def watch(self, report: Callable[[InvalidInput], None]) -> None:
        """Follow the folder for ever: what is saved, changed or removed is applied within half a second.

        What can't be read is reported, once, and its previous state stays.
        """
        before = self._read
        lost = False
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                now = self._look()
            except InvalidInput as error:
                if not lost:
                    report(error)
                lost = True
                continue
            lost = False
            # A file that is being written is taken when two looks in a row see the same; others do not wait for it.
            calm = {file: state for file, state in now.items() if before.get(file) == state}
            calm |= {file: self._read[file] for file in now.keys() - calm.keys() if file in self._read}
            calm |= {file: self._read[file] for file in before.keys() - now.keys() if file in self._read}
            before = now
            if calm != self._read:
                self._follow(calm, report)

    def _follow(self, now: _Seen, report: Callable[[InvalidInput], None]) -> None:
        for file in now:
            if now[file] != self._read.get(file):
                try:
                    self._objects[file] = tuple(load_manifests(file))
                except InvalidInput as error:
                    report(error)
        self._objects = {file: held for file, held in self._objects.items() if file in now}
        self._read = now
        try:
            merged = self._merged()
        except InvalidInput as error:
            report(error)
        else:
            self._apply(merged)

    def _look(self) -> _Seen:
        """Raises InvalidInput when the folder is not there or can't be read."""
        try:
            files = sorted(self._path.iterdir())
        except OSError as error:
            raise InvalidInput(
                f"can't be read: {error.strerror or error}",
                where=Location(str(self._path)),
                hint="name a folder of .yaml files",
            ) from error
        seen: _Seen = {}
        for file in files:
            if file.suffix in _SUFFIXES:
                # Gone since, or an editor's link to nowhere.
                with suppress(OSError):
                    found = file.stat()
                    seen[file] = (found.st_mtime_ns, found.st_size, found.st_ino)
        return seen

    def _merged(self) -> dict[Key, Manifest]:
        """Every object. Raises InvalidInput when two files hold the same one."""
        merged: dict[Key, Manifest] = {}
        for file in sorted(self._objects):
            for manifest in self._objects[file]:
                first = merged.setdefault(Key.of(manifest), manifest)
                if first is not manifest:
                    raise InvalidInput(
                        f"{manifest.kind} {manifest.key} is also in {first.location}",
                        where=manifest.location,
                        hint="keep one of the two; until then nothing of the folder is applied",
                    )
        return merged

    def _apply(self, merged: dict[Key, Manifest]) -> None:
        for key in sorted(self._applied.keys() - merged.keys()):
            self._target.delete(key)
        for manifest in merged.values():
            self._target.apply(manifest)
        self._applied = merged
