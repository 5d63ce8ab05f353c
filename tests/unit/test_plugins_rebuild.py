"""The bundled modules are what their sources build. Needs the Zig compiler, a development dependency."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from sim.wasm import bundled, bundled_names

PLUGINS = Path(__file__).parents[2] / "plugins"

if importlib.util.find_spec("ziglang") is None and "CI" not in os.environ:
    pytest.skip("no Zig compiler: pip install -e .[dev]", allow_module_level=True)


def load_build_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("plugins_build", PLUGINS / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = load_build_script()


def test_every_plugin_with_sources_is_bundled() -> None:
    assert tuple(script.names()) == bundled_names()


@pytest.fixture(scope="module")
def global_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zig-global-cache")


@pytest.mark.parametrize("name", bundled_names())
def test_a_bundled_module_is_what_its_sources_build_wherever_they_lie(
    name: str, tmp_path: Path, global_cache: Path
) -> None:
    elsewhere = tmp_path / "a folder" / "of-another-name"
    shutil.copytree(PLUGINS, elsewhere)
    assert script.build(name, elsewhere, global_cache) == bundled(name).module


def test_check_fails_when_the_bundled_module_is_not_what_the_sources_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = bundled("request-block").module
    target = tmp_path / "request-block.wasm"
    monkeypatch.setattr(script, "BUNDLED", tmp_path)
    monkeypatch.setattr(script, "build", lambda _, global_cache: module)

    assert script.main(["request-block", "--check"]) == script.EXIT_DIFFERENT
    assert not target.exists()
    target.write_bytes(module[:-1])
    assert script.main(["request-block", "--check"]) == script.EXIT_DIFFERENT
    assert target.read_bytes() == module[:-1]
    assert script.main(["request-block"]) == 0
    assert script.main(["request-block", "--check"]) == 0
    assert "up to date" in capsys.readouterr().out


def test_building_an_unknown_plugin_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["nope"]) == script.EXIT_USAGE
    assert f"there is {', '.join(bundled_names())}" in capsys.readouterr().err


def test_sources_that_do_not_compile_are_reported_with_the_compilers_words(tmp_path: Path) -> None:
    copy = tmp_path / "plugins"
    shutil.copytree(PLUGINS, copy)
    (copy / "request-block" / "main.zig").write_text("const x = nowhere;\ncomptime { _ = x; }\n")
    with pytest.raises(script.BuildFailed, match="nowhere"):
        script.build("request-block", copy)
