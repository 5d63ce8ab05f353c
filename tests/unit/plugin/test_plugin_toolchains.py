"""Which toolchain a folder wants, by the files in it; and a build that really runs, by Zig."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from sim.errors import EnvironmentProblem, InvalidInput
from sim.plugin.building import BuildFailed, build
from sim.plugin.examine import examine_file
from sim.plugin.toolchains import build_of

SOURCE = """\
export fn proxy_abi_version_0_2_1() void {}
export fn proxy_on_memory_allocate(_: usize) usize {
    return 0;
}
export fn proxy_on_request_headers(_: u32, _: u32, _: u32) u32 {
    return 0;
}
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH in which every tool is, and does nothing."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("go", "cargo", "npm", "zig"):
        (folder / name).write_text("#!/bin/sh\nexit 0\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("WASI_SDK_PATH", raising=False)
    return folder


@pytest.mark.parametrize(
    ("files", "language", "words"),
    [
        ({"go.mod": "", "main.c": ""}, "Go", ["build", "-buildmode=c-shared", "."]),
        ({"Cargo.toml": ""}, "Rust", ["build", "--target", "wasm32-wasip1", "--release"]),
        ({"build.zig": "", "main.zig": ""}, "Zig", ["build", "-Doptimize=ReleaseSmall"]),
        ({"main.zig": ""}, "Zig", ["build-exe", "main.zig", "wasm32-freestanding", "-fno-entry", "-rdynamic"]),
        ({"src/main.zig": ""}, "Zig", ["build-exe", "src/main.zig"]),
        ({"b.c": "", "a.c": ""}, "C", ["-mexec-model=reactor", "a.c", "b.c"]),
        (
            {"package.json": '{"devDependencies": {"assemblyscript": "1"}}', "node_modules/x": ""},
            "AssemblyScript",
            ["run"],
        ),
    ],
)
def test_the_files_in_a_folder_tell_the_toolchain(
    files: dict[str, str], language: str, words: list[str], tools: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "plugin"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    made = build_of(folder, tmp_path / "main.wasm", tmp_path)
    assert made.language == language
    places = [made.command.index(word) for word in words]
    assert places == sorted(places)


def test_go_is_told_its_target_by_the_environment_and_keeps_the_rest(tools: Path, tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("")
    made = build_of(tmp_path, tmp_path / "main.wasm", tmp_path)
    assert made.environment == {"GOOS": "wasip1", "GOARCH": "wasm"}
    assert made.shown().startswith("GOOS=wasip1 GOARCH=wasm ")


@pytest.mark.parametrize(
    ("file", "hint"),
    [("go.mod", "Go 1.24 or newer"), ("Cargo.toml", "rustup")],
)
def test_a_missing_toolchain_says_what_to_install(
    file: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / file).write_text("")
    with pytest.raises(EnvironmentProblem) as refused:
        build_of(tmp_path, tmp_path / "main.wasm", tmp_path)
    assert hint in str(refused.value)


def test_assemblyscript_without_its_packages_says_how_to_get_them(tools: Path, tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"dependencies": {"assemblyscript": "1"}}')
    with pytest.raises(EnvironmentProblem, match="npm install"):
        build_of(tmp_path, tmp_path / "main.wasm", tmp_path)
    (tmp_path / "package-lock.json").write_text("{}")
    with pytest.raises(EnvironmentProblem, match="npm ci"):
        build_of(tmp_path, tmp_path / "main.wasm", tmp_path)


def test_go_sources_without_go_mod_say_how_to_get_one(tools: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my plugin"
    folder.mkdir()
    (folder / "main.go").write_text("package main\n")
    with pytest.raises(InvalidInput, match=r"no go\.mod") as refused:
        build_of(folder, tmp_path / "main.wasm", tmp_path)
    assert "my plugin' && go mod init" in str(refused.value)


@pytest.mark.parametrize(
    ("said", "hint"), [("main.go:1: no", "correct what Go says"), ("dial tcp: lookup x", "module proxy")]
)
async def test_a_build_that_lacks_modules_is_told_from_one_with_errors(
    said: str, hint: str, tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tools / "go").write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    (tmp_path / "go.mod").write_text("")
    with pytest.raises(BuildFailed, match=hint):
        await build(tmp_path)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("files", [[], ["README.md"], ["package.json"], ["main.cc"]])
def test_a_folder_without_a_plugin_that_can_be_built_is_refused(files: list[str], tools: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plugin"
    folder.mkdir()
    for name in files:
        (folder / name).write_text("{}")
    with pytest.raises(InvalidInput):
        build_of(folder, tmp_path / "main.wasm", tmp_path)


async def test_a_refusing_toolchain_is_told_with_the_command(tools: Path, tmp_path: Path) -> None:
    go = tools / "go"
    go.write_text("#!/bin/sh\necho 'main.go:1: no' >&2\nexit 1\n")
    (tmp_path / "go.mod").write_text("")
    with pytest.raises(BuildFailed, match="-buildmode=c-shared"):
        await build(tmp_path)
    go.write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(BuildFailed, match="left no"):
        await build(tmp_path)


async def test_cargos_own_account_says_where_the_module_is(tools: Path, tmp_path: Path) -> None:
    (tmp_path / "Cargo.toml").write_text("")
    (tmp_path / "target.wasm").write_bytes(b"built")
    line = f'{{"reason":"compiler-artifact","filenames":["{tmp_path}/target.wasm"]}}'
    (tools / "cargo").write_text(f"#!/bin/sh\necho 'not json'\necho '{line}'\n")
    built = await build(tmp_path, tmp_path / "out.wasm")
    assert built.path.read_bytes() == b"built"
    (tools / "cargo").write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(InvalidInput, match="cdylib"):
        await build(tmp_path, tmp_path / "out.wasm")


async def test_zig_builds_a_module_that_envoy_would_load(tmp_path: Path) -> None:
    if importlib.util.find_spec("ziglang") is None and shutil.which("zig") is None and "CI" not in os.environ:
        pytest.skip("NO ZIG, BUILDING BY IT IS NOT TRIED: pip install -e .[dev]")
    folder = tmp_path / "plugin"
    folder.mkdir()
    (folder / "main.zig").write_text(SOURCE)
    built = await build(folder)
    assert (built.language, built.path) == ("Zig", folder / "main.wasm")
    assert examine_file(built.path).loadable
    assert sorted(path.name for path in folder.iterdir()) == ["main.wasm", "main.zig"]
