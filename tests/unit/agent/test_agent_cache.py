"""The module cache: its names, its paths, and when it asks the registry again."""

from __future__ import annotations

import asyncio
import errno
import hashlib
from pathlib import Path
from typing import Any

import pytest

from sim.agent.cache import ModuleCache, ModuleError, ModuleRequest, module_name
from sim.agent.fetch import FetchOptions, module_fetcher
from sim.clock import SkewedClock
from tests.golden_files import golden
from tests.unit.agent.resources import MODULE, URL, Shelf, module

LATEST = "oci://registry.example.com/team/plugin:latest"
HTTP = "http://files.example.com/plugin.wasm"
PINNED = "oci://registry.example.com/team/plugin@sha256:{}"


class Progress:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def fetching(self) -> None:
        self.stages.append("fetching")

    def fetched(self, size_bytes: int) -> None:
        self.stages.append(f"fetched {size_bytes}")

    def unpacked(self, size_bytes: int) -> None:
        self.stages.append(f"unpacked {size_bytes}")


class Rig:
    """A cache on a shelf of modules."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.shelf = Shelf({URL: module(1), LATEST: module(1), HTTP: module(1)})
        self.clock = SkewedClock()
        self.cache = ModuleCache(directory, self.shelf, self.clock)

    async def get(self, url: str = URL, version: str = "1", **fields: Any) -> Path:
        request = ModuleRequest(url, **{"resource_name": "p", "resource_version": version, **fields})
        path, _ = await self.cache.get(request, Progress())
        return path

    def requests(self) -> list[str]:
        """What the shelf was asked for since the last time: `manifest`s and `module`s."""
        asked = [line.partition(" ")[0] for line in self.shelf.log]
        self.shelf.log.clear()
        return asked


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def captured_files() -> list[Any]:
    """Each URL with a folder and a checksum, from what the real agents gave Envoy."""
    found = {}
    for profile in ("istio-1.27", "higress-1.19"):
        for case in golden(f"agent-{profile}.json"):
            for plugin in case["istio"]:
                for resource in case["ecds"]:
                    code = resource["typed_config"].get("config", {}).get("vm_config", {}).get("code", {})
                    path = Path(code.get("local", {}).get("filename", ""))
                    if resource["name"].endswith(plugin["name"].replace("/", ".")) and len(path.parent.name) == 64:
                        found[plugin["spec"]["url"]] = path.parent.name
    return sorted(found.items())


@pytest.mark.parametrize(("url", "folder"), captured_files())
def test_the_folder_is_named_as_the_real_agent_names_it(url: str, folder: str) -> None:
    assert hashlib.sha256(module_name(url).encode()).hexdigest() == folder


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("oci://r.example.com/team/plugin:1.0.0", "oci://r.example.com/team/plugin"),
        ("oci://r.example.com:5000/team/plugin", "oci://r.example.com:5000/team/plugin"),
        ("oci://r.example.com/plugin@sha256:" + "a" * 64, "oci://r.example.com/plugin"),
        ("oci://r.example.com/plugin:1@sha256:" + "a" * 64, "oci://r.example.com/plugin"),
        ("oci://busybox:1", "oci://index.docker.io/library/busybox"),
        ("oci://R!/no reference", "oci://R!/no reference"),
        ("http://files.example.com/p.wasm?v=1", "http://files.example.com/p.wasm?v=1"),
    ],
)
def test_a_modules_name_has_no_tag_and_no_digest(url: str, name: str) -> None:
    assert module_name(url) == name


async def test_the_file_lies_under_the_url_and_the_checksum(rig: Rig) -> None:
    path = await rig.get()
    folder = hashlib.sha256(b"oci://registry.example.com/team/plugin").hexdigest()
    assert path == rig.directory / folder / f"{rig.shelf.checksum(URL)}.wasm"
    assert path.read_bytes() == module(1)
    assert path.stat().st_mode & 0o777 == 0o644


async def test_a_large_module_is_written_whole(rig: Rig) -> None:
    rig.shelf.modules[URL] = MODULE + bytes(300_000)
    assert (await rig.get()).read_bytes() == MODULE + bytes(300_000)


async def test_a_fetch_tells_its_stages_and_a_hit_tells_nothing(rig: Rig) -> None:
    first, second = Progress(), Progress()
    size = len(module(1))
    assert (await rig.cache.get(ModuleRequest(URL), first))[1] is False
    assert (await rig.cache.get(ModuleRequest(URL), second))[1] is True
    assert first.stages == ["fetching", f"fetched {size}", f"unpacked {size}"]
    assert second.stages == []


@pytest.mark.parametrize(
    ("url", "policy", "asked"),
    [
        (URL, "UNSPECIFIED_POLICY", []),
        (URL, "IfNotPresent", []),
        (URL, "Always", ["manifest"]),
        (LATEST, "UNSPECIFIED_POLICY", ["manifest"]),
        (LATEST, "IfNotPresent", []),
        (LATEST, "Always", ["manifest"]),
        (HTTP, "UNSPECIFIED_POLICY", []),
        (HTTP, "IfNotPresent", []),
        (HTTP, "Always", ["manifest"]),
    ],
)
async def test_a_changed_spec_asks_again_only_where_the_policy_says_so(
    rig: Rig, url: str, policy: str, asked: list[str]
) -> None:
    first = await rig.get(url, "1", pull_policy=policy)
    rig.requests()
    assert await rig.get(url, "2", pull_policy=policy) == first
    assert rig.requests() == asked


@pytest.mark.parametrize("url", [URL, LATEST, HTTP])
async def test_an_unchanged_spec_never_asks_again(rig: Rig, url: str) -> None:
    await rig.get(url, "1", pull_policy="Always")
    rig.requests()
    await rig.get(url, "1", pull_policy="Always")
    assert rig.requests() == []


async def test_always_fetches_the_module_of_a_tag_that_has_moved(rig: Rig) -> None:
    first = await rig.get(version="1", pull_policy="Always")
    rig.shelf.modules[URL] = module(2)
    assert await rig.get(version="1", pull_policy="Always") == first
    rig.requests()
    second = await rig.get(version="2", pull_policy="Always")
    assert rig.requests() == ["manifest", "module"]
    assert (second.parent, second.read_bytes()) == (first.parent, module(2))
    assert second != first
    assert first.exists()


async def test_if_not_present_stays_with_what_the_tag_gave_last(rig: Rig) -> None:
    first = await rig.get(version="1")
    rig.shelf.modules[URL] = module(2)
    assert await rig.get(version="2") == first


async def test_a_digest_in_the_url_is_the_checksum(rig: Rig) -> None:
    url = PINNED.format(rig.shelf.checksum(URL))
    rig.shelf.modules[url] = module(1)
    path = await rig.get(url, "1")
    assert rig.requests() == ["manifest", "module"]
    assert await rig.get(url, "2", pull_policy="Always") == path
    # The tag has the same module, so only its manifest is asked for.
    assert await rig.get(URL, "1") == path
    assert rig.requests() == ["manifest"]


async def test_two_resources_with_one_tag_have_a_version_each(rig: Rig) -> None:
    await rig.get(version="7", resource_name="p", pull_policy="Always")
    rig.requests()
    await rig.get(version="7", resource_name="q", pull_policy="Always")
    assert rig.requests() == ["manifest"]
    await rig.get(version="7", resource_name="p", pull_policy="Always")
    await rig.get(version="7", resource_name="q", pull_policy="Always")
    assert rig.requests() == []


async def test_two_repositories_with_one_module_have_a_file_each(rig: Rig) -> None:
    other = "oci://registry.example.com/team/other:1.0.0"
    rig.shelf.modules[other] = module(1)
    first, second = await rig.get(URL), await rig.get(other)
    assert first.name == second.name
    assert first.parent != second.parent


async def test_the_specs_checksum_finds_a_module_under_any_tag(rig: Rig) -> None:
    other = "oci://registry.example.com/team/plugin:2.0.0"
    path = await rig.get(URL)
    rig.requests()
    assert await rig.get(other, checksum=rig.shelf.checksum(URL)) == path
    assert rig.requests() == []


async def test_a_module_with_another_checksum_is_refused_before_it_is_fetched(rig: Rig) -> None:
    with pytest.raises(ModuleError, match=f"not {'1' * 64}") as refused:
        await rig.get(checksum="1" * 64)
    assert refused.value.result == "checksum_mismatched"
    assert rig.requests() == ["manifest"]


@pytest.mark.parametrize("content", [b"", b"\0asm\1\0\0", b"this is text"])
async def test_what_is_no_module_is_refused(rig: Rig, content: bytes) -> None:
    rig.shelf.modules[URL] = content
    with pytest.raises(ModuleError, match="not a Wasm module") as refused:
        await rig.get()
    assert refused.value.result == "fetch_failure"
    assert list(rig.directory.rglob("*.wasm")) == []


async def test_requests_at_the_same_time_each_fetch(rig: Rig) -> None:
    gate = rig.shelf.gate("module", URL)
    async with asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(rig.get(resource_name=name)) for name in ("p", "q")]
        await rig.shelf.requested(4)
        gate.set()
    assert both[0].result() == both[1].result()
    assert sorted(rig.requests()) == ["manifest", "manifest", "module", "module"]
    assert len(rig.cache) == 1


async def test_a_registry_that_does_not_answer_is_given_up(rig: Rig) -> None:
    rig.shelf.gate("manifest", URL)
    with pytest.raises(ModuleError, match=r"not there within 0\.01 s") as refused:
        await rig.get(timeout_s=0.01)
    assert refused.value.result == "manifest_failure"


async def test_no_time_at_all_is_not_enough(rig: Rig) -> None:
    rig.shelf.gate("manifest", URL)
    with pytest.raises(ModuleError, match="within 0 s"):
        await rig.get(timeout_s=0)


@pytest.mark.parametrize("size", [0, 300_000])
async def test_a_full_disk_is_an_error_of_the_module(rig: Rig, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    rig.shelf.modules[URL] = MODULE + bytes(size)

    def full(self: Path, target: Path) -> None:
        assert self.suffix == ".part"
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(ModuleError, match="No space left on device") as refused:
            await rig.get()
    assert refused.value.result is None
    assert [path for path in rig.directory.rglob("*") if path.is_file()] == []
    # There is room again.
    assert (await rig.get()).read_bytes() == MODULE + bytes(size)


async def test_a_folder_that_cannot_be_made_is_an_error_of_the_module(rig: Rig) -> None:
    (rig.directory / hashlib.sha256(b"oci://registry.example.com/team/plugin").hexdigest()).write_text("in the way")
    with pytest.raises(ModuleError, match="can't write"):
        await rig.get()


@pytest.mark.parametrize("url", ["", "ftp://files.example.com/plugin.wasm", "plugin.wasm"])
async def test_an_unknown_scheme_is_refused(tmp_path: Path, url: str) -> None:
    async with module_fetcher(FetchOptions()) as fetcher:
        cache = ModuleCache(tmp_path, fetcher)
        with pytest.raises(ModuleError, match="scheme") as refused:
            await cache.get(ModuleRequest(url), Progress())
    assert refused.value.result is None
    assert cache.metrics.fetches == {}


# -- expiry ---------------------------------------------------------------------------------------------------------


async def test_a_module_expires_when_nobody_asked_for_it(rig: Rig) -> None:
    path = await rig.get()
    assert rig.cache.purge(60) == []
    rig.clock.advance(61)
    assert rig.cache.purge(60) == [path]
    assert not path.exists()
    assert len(rig.cache) == 0
    rig.requests()
    assert await rig.get(version="2") == path
    assert rig.requests() == ["manifest", "module"]


async def test_asking_keeps_a_module(rig: Rig) -> None:
    path = await rig.get()
    for _ in range(3):
        rig.clock.advance(50)
        await rig.get()
    assert rig.cache.purge(60) == []
    assert path.exists()


async def test_a_kept_module_outlives_its_expiry(rig: Rig) -> None:
    path = await rig.get()
    rig.clock.advance(61)
    assert rig.cache.purge(60, keep={path}) == []
    assert rig.cache.purge(60) == [path]


async def test_a_file_that_cannot_be_deleted_stays_known(rig: Rig) -> None:
    path = await rig.get()
    path.unlink()
    rig.clock.advance(61)
    assert rig.cache.purge(60) == []
    assert len(rig.cache) == 1


# -- failed-always --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("notes_before_pull", [True, False])
async def test_a_failed_pull_is_noted_unless_that_is_fixed(tmp_path: Path, notes_before_pull: bool) -> None:
    rig = Rig(tmp_path)
    rig.cache = ModuleCache(tmp_path, rig.shelf, notes_before_pull=notes_before_pull)
    old = await rig.get(version="1", pull_policy="Always")
    del rig.shelf.modules[URL]
    with pytest.raises(ModuleError):
        await rig.get(version="2", pull_policy="Always")
    rig.shelf.modules[URL] = module(2)
    rig.requests()
    path = await rig.get(version="2", pull_policy="Always")
    if notes_before_pull:
        assert (path, rig.requests()) == (old, [])
    else:
        assert (path.read_bytes(), rig.requests()) == (module(2), ["manifest", "module"])


async def test_a_first_pull_that_failed_is_simply_made_again(rig: Rig) -> None:
    content = rig.shelf.modules.pop(URL)
    with pytest.raises(ModuleError):
        await rig.get(version="1")
    rig.shelf.modules[URL] = content
    assert (await rig.get(version="1")).read_bytes() == content


# -- what is counted ------------------------------------------------------------------------------------------------


async def test_lookups_and_fetches_are_counted_as_the_real_agent_counts_them(rig: Rig) -> None:
    await rig.get(version="1")  # a miss by URL, a miss by digest, a fetch
    await rig.get(version="2")  # a hit
    with pytest.raises(ModuleError):
        await rig.get("oci://registry.example.com/team/none:1", "1")  # a miss, a failure
    with pytest.raises(ModuleError):
        await rig.get(checksum="1" * 64)  # a miss, a mismatch
    assert rig.cache.metrics.lookups == {True: 1, False: 4}
    assert rig.cache.metrics.fetches == {"success": 1, "manifest_failure": 1, "checksum_mismatched": 1}
    assert rig.cache.metrics.cache_entries == 1
    rig.clock.advance(1)
    rig.cache.purge(0)
    assert rig.cache.metrics.cache_entries == 0
