"""A watched folder: what is saved arrives, what can't be read is told and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sim.commands.manifest_folder import ManifestFolder
from sim.core import EventType, Store, StoredObject
from sim.errors import InvalidInput

PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: NAME, namespace: higress-system}
spec: {url: "oci://registry.local/plugins/block:TAG"}
"""


def plugin(name: str = "block", tag: str = "1") -> str:
    return PLUGIN.replace("NAME", name).replace("TAG", tag)


class Watched:
    """A store that follows a folder; each change and each problem can be awaited."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store()
        self.folder = ManifestFolder(path, self.store)
        self.changes: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()
        self.problems: asyncio.Queue[str] = asyncio.Queue()
        self.store.watch(self._note)

    def _note(self, event: EventType, subject: StoredObject) -> None:
        self.changes.put_nowait((event, subject.key.name, str(subject.spec["url"]).rpartition(":")[2]))

    @property
    def state(self) -> dict[str, str]:
        return {found.key.name: str(found.spec["url"]).rpartition(":")[2] for found in self.store.list()}


@asynccontextmanager
async def watched(path: Path) -> AsyncIterator[Watched]:
    made = Watched(path)
    made.folder.load(may_be_empty=True)
    while not made.changes.empty():
        made.changes.get_nowait()
    task = asyncio.create_task(made.folder.watch(lambda error: made.problems.put_nowait(str(error))))
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_saved_changed_and_removed_files_are_followed(tmp_path: Path) -> None:
    async with watched(tmp_path) as world:
        (tmp_path / "a.yaml").write_text(plugin())
        assert await world.changes.get() == ("ADDED", "block", "1")
        (tmp_path / "a.yaml").write_text(plugin(tag="2"))
        assert await world.changes.get() == ("MODIFIED", "block", "2")
        (tmp_path / "a.yaml").unlink()
        assert await world.changes.get() == ("DELETED", "block", "2")


async def test_a_file_that_is_replaced_by_another_of_the_same_size_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(plugin())
    async with watched(tmp_path) as world:
        (tmp_path / "new").write_text(plugin(tag="2"))
        (tmp_path / "new").replace(tmp_path / "a.yaml")
        assert await world.changes.get() == ("MODIFIED", "block", "2")


async def test_an_object_that_leaves_its_file_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{plugin('one')}---\n{plugin('two')}")
    async with watched(tmp_path) as world:
        (tmp_path / "a.yaml").write_text(plugin("one"))
        assert await world.changes.get() == ("DELETED", "two", "1")
        assert world.state == {"one": "1"}


async def test_a_file_that_does_not_parse_is_told_once_and_its_objects_stay(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(plugin())
    async with watched(tmp_path) as world:
        (tmp_path / "a.yaml").write_text(plugin().replace("url", "ulr"))
        told = await world.problems.get()
        assert told.startswith(f"{tmp_path / 'a.yaml'}:4:")
        (tmp_path / "b.yaml").write_text(plugin("other"))
        assert await world.changes.get() == ("ADDED", "other", "1")
        assert world.state == {"block": "1", "other": "1"}
        (tmp_path / "a.yaml").write_text(plugin(tag="2"))
        assert await world.changes.get() == ("MODIFIED", "block", "2")
        assert world.problems.empty()


async def test_the_same_object_in_two_files_is_told_and_nothing_changes_until_one_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(plugin())
    async with watched(tmp_path) as world:
        (tmp_path / "b.yaml").write_text(plugin(tag="2"))
        told = await world.problems.get()
        assert f"{tmp_path / 'b.yaml'}:1" in told and f"{tmp_path / 'a.yaml'}:1" in told
        assert world.state == {"block": "1"}
        (tmp_path / "a.yaml").unlink()
        assert await world.changes.get() == ("MODIFIED", "block", "2")


async def test_a_folder_that_goes_away_is_told_once_and_its_objects_stay(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "a.yaml").write_text(plugin())
    async with watched(folder) as world:
        folder.rename(tmp_path / "elsewhere")
        assert "can't be read" in await world.problems.get()
        (tmp_path / "elsewhere" / "a.yaml").write_text(plugin(tag="2"))
        (tmp_path / "elsewhere").rename(folder)
        assert await world.changes.get() == ("MODIFIED", "block", "2")
        assert world.problems.empty()


def test_other_files_and_links_to_nowhere_are_no_manifests(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(plugin())
    (tmp_path / "a.yaml~").write_text("no: yaml: at all")
    (tmp_path / ".#a.yaml").symlink_to("nowhere")
    world = Watched(tmp_path)
    world.folder.load()
    assert world.state == {"block": "1"}


def test_an_empty_folder_is_only_good_enough_to_be_watched(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    with pytest.raises(InvalidInput, match="no manifest") as raised:
        world.folder.load()
    assert raised.value.hint and "--watch" in raised.value.hint
    world.folder.load(may_be_empty=True)
    assert world.state == {}


def test_nothing_is_applied_when_a_file_does_not_parse_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(plugin())
    (tmp_path / "b.yaml").write_text("a: [")
    world = Watched(tmp_path)
    with pytest.raises(InvalidInput, match=r"b\.yaml:1|b\.yaml:2"):
        world.folder.load()
    assert world.state == {}


async def test_a_file_that_never_rests_does_not_hold_up_the_others(tmp_path: Path) -> None:
    (tmp_path / "busy.yaml").write_text(plugin("busy", "0"), encoding="utf-8")
    async with watched(tmp_path) as seen:

        async def keep_saving() -> None:
            number = 0
            while True:
                number += 1
                (tmp_path / "busy.yaml").write_text(plugin("busy", str(number)), encoding="utf-8")
                await asyncio.sleep(0.01)

        busy = asyncio.create_task(keep_saving())
        (tmp_path / "block.yaml").write_text(plugin(), encoding="utf-8")
        while (await seen.changes.get())[1] != "block":
            pass
        assert not busy.done()
        busy.cancel()
