"""Building a plugin from its folder: which toolchain it wants, the command, and where the module comes out."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sim.errors import EnvironmentProblem, InvalidInput

#: What a module is called unless told otherwise: the name that the Higress guide uses.
DEFAULT_NAME = "main.wasm"

_SEEN = "go.mod, Cargo.toml, build.zig, main.zig, src/main.zig, package.json with AssemblyScript, or *.c"
_ZIG_TARGET = ("-target", "wasm32-freestanding", "-O", "ReleaseSmall", "-fno-entry", "-rdynamic")
_C_FLAGS = ("-mexec-model=reactor", "-Oz", "-s", "-Wl,--gc-sections")
_RUST_TARGET = "wasm32-wasip1"


@dataclass(frozen=True, slots=True)
class Build:
    """A command to be run in the plugin's folder.

    `unreachable` is its hint where something could not be fetched. `output` takes what the command printed on stdout
    and says where the module is; it raises InvalidInput where there is none. `hint` is for a command that fails.
    """

    language: str
    command: tuple[str, ...]
    output: Callable[[str], Path]
    hint: str
    environment: Mapping[str, str] = field(default_factory=dict)
    unreachable: str | None = None

    def shown(self) -> str:
        """The command as a shell takes it."""
        settings = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*settings, shlex.join(self.command)])


def build_of(folder: Path, output: Path, scratch: Path) -> Build:
    """How the plugin in `folder` is built into `output`; `scratch` takes what need not stay.

    Raises InvalidInput for a folder without a plugin, EnvironmentProblem where the toolchain is missing; its hint says
    what to install.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is no folder", hint="name the folder that holds the plugin's sources")
    if (folder / "go.mod").is_file():
        return _go(output)
    if (folder / "Cargo.toml").is_file():
        return _rust()
    if (folder / "build.zig").is_file():
        return _zig_project(scratch)
    for main in ("main.zig", "src/main.zig"):
        if (folder / main).is_file():
            return _zig_file(main, output, scratch)
    if _is_assemblyscript(folder):
        return _assemblyscript(folder)
    c_sources = sorted(path.name for path in folder.glob("*.c"))
    if c_sources:
        return _c(c_sources, output, scratch)
    if any(folder.glob("*.go")):
        raise InvalidInput(
            f"there are Go sources in {folder}, and no go.mod",
            hint=f"cd {shlex.quote(str(folder))} && go mod init {folder.absolute().name} && go mod tidy",
        )
    if any(folder.glob("*.cc")) or any(folder.glob("*.cpp")):
        raise InvalidInput(
            f"{folder} holds C++, which wants its SDK's own build",
            hint="build it as the proxy-wasm C++ SDK describes, then use ecdsim plugin inspect, test and push",
        )
    raise InvalidInput(f"there is no plugin in {folder}", hint=f"what is looked for: {_SEEN}")


def _go(output: Path) -> Build:
    return Build(
        "Go",
        (_program("go", "Go 1.24 or newer"), "build", "-buildmode=c-shared", "-o", str(output), "."),
        lambda _: output,
        "correct what Go says above; Go 1.24 or newer is needed",
        {"GOOS": "wasip1", "GOARCH": "wasm"},
        "the module proxy (go env GOPROXY) must be reachable once: see above",
    )


def _rust() -> Build:
    return Build(
        "Rust",
        (
            *(_program("cargo", "Rust, by rustup"), "build", "--target", _RUST_TARGET, "--release"),
            "--message-format=json-render-diagnostics",
        ),
        _cargo_artifact,
        f"see above; where the target is missing: rustup target add {_RUST_TARGET}",
    )


def _cargo_artifact(printed: str) -> Path:
    found = []
    for line in printed.splitlines():
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if isinstance(message, dict) and message.get("reason") == "compiler-artifact":
            found += [name for name in message.get("filenames", []) if name.endswith(".wasm")]
    if not found:
        raise InvalidInput("cargo built no Wasm module", hint='Cargo.toml needs [lib] with crate-type = ["cdylib"]')
    return Path(found[-1])


def _zig_file(main: str, output: Path, scratch: Path) -> Build:
    return Build(
        "Zig",
        (*_zig(), "build-exe", main, *_ZIG_TARGET, f"-femit-bin={output}", "--cache-dir", str(scratch / "cache")),
        lambda _: output,
        "see above; sources are taken as those of Zig 0.17",
    )


def _zig_project(scratch: Path) -> Build:
    prefix = scratch / "out"
    return Build(
        "Zig",
        (
            *(*_zig(), "build", "-Doptimize=ReleaseSmall"),
            *("--prefix", str(prefix), "--cache-dir", str(scratch / "cache")),
        ),
        lambda _: _only([*prefix.rglob("*.wasm")], "zig build installed"),
        "see above; sources are taken as those of Zig 0.17",
    )


def _c(sources: Sequence[str], output: Path, scratch: Path) -> Build:
    sdk = os.environ.get("WASI_SDK_PATH")
    if sdk is not None:
        compiler: tuple[str, ...] = (str(Path(sdk) / "bin" / "clang"), f"--target={_RUST_TARGET}")
    else:
        compiler = (*_zig(), "cc", "-target", "wasm32-wasi")
    return Build(
        "C",
        (*compiler, *_C_FLAGS, "-o", str(output), *sources),
        lambda _: output,
        "see above; mark what the host calls with __attribute__((export_name(…)))",
        {"ZIG_LOCAL_CACHE_DIR": str(scratch / "cache")} if sdk is None else {},
    )


def _is_assemblyscript(folder: Path) -> bool:
    try:
        package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(package, dict):
        return False
    names = {**(package.get("dependencies") or {}), **(package.get("devDependencies") or {})}
    return "assemblyscript" in names


def _assemblyscript(folder: Path) -> Build:
    if not (folder / "node_modules").is_dir():
        install = "ci" if (folder / "package-lock.json").is_file() else "install"
        raise EnvironmentProblem(
            f"what {folder}/package.json names is not installed", hint=f"cd {shlex.quote(str(folder))} && npm {install}"
        )
    return Build(
        "AssemblyScript",
        (_program("npm", "Node.js"), "run", "asbuild"),
        lambda _: _assemblyscript_module(folder / "build"),
        "see above; package.json needs a script asbuild, which npx asinit writes",
    )


def _assemblyscript_module(folder: Path) -> Path:
    for name in ("release.wasm", "optimized.wasm"):
        if (folder / name).is_file():
            return folder / name
    return _only([*folder.glob("*.wasm")], f"npm run asbuild left in {folder}")


def _only(found: Sequence[Path], what: str) -> Path:
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "no module"
        raise InvalidInput(f"{what} {names}", hint="it has to be one module; build it by hand, and name the file")
    return found[0]


def _program(name: str, needed: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise EnvironmentProblem(f"there is no {name}", hint=f"install {needed}, so that {name} is in the PATH")
    return path


def _zig() -> tuple[str, ...]:
    if importlib.util.find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang")
    path = shutil.which("zig")
    if path is None:
        raise EnvironmentProblem("there is no Zig", hint="pip install ziglang==0.17.0, or put zig into the PATH")
    return (path,)
