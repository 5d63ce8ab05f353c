"""A folder of manifests whose changes become steps of a session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from sim.commands.manifest_folder import ManifestFolder
from sim.core import Key
from sim.errors import SimError
from sim.manifests import Manifest
from sim.scenario.session import Session

FOLDER = "folder"


class _Steps:
    """What the folder puts its objects into: each becomes a step, one after the other."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._due: asyncio.Queue[Manifest | Key] = asyncio.Queue()
        self._applied: dict[Key, Manifest] = {}

    def apply(self, manifest: Manifest) -> None:
        """An object that is saved as it was is no change, even if somebody else has changed it since."""
        key = Key.of(manifest)
        before = self._applied.get(key)
        if before is None or before.content != manifest.content:
            self._applied[key] = manifest
            self._due.put_nowait(manifest)

    def delete(self, key: Key) -> None:
        self._applied.pop(key, None)
        self._due.put_nowait(key)

    async def run(self, report: Callable[[SimError], None]) -> None:
        while True:
            target = await self._due.get()
            try:
                if isinstance(target, Manifest):
                    await self._session.apply([target], FOLDER)
                elif self._session.store.get(target) is not None:
                    await self._session.delete(target, FOLDER)
            except SimError as error:
                report(error)


async def watched(path: Path, session: Session, report: Callable[[SimError], None]) -> None:
    """Apply what is in the folder, and follow it for ever. What can't be read is reported."""
    steps = _Steps(session)
    folder = ManifestFolder(path, steps)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(steps.run(report), name="folder-steps")
        try:
            folder.load(may_be_empty=True)
        except SimError as error:
            report(error)
        await folder.watch(report)
