"""Builds the bundled plugins: `python plugins/build.py [name …] [--check]`.

Every folder here with a `main.zig` is a plugin. Its module is written to `sim/wasm/bundled/<name>.wasm`; with
`--check` nothing is written, and a module that differs from what its sources build is an error (exit 1).

The bytes depend on the sources and the Zig release alone: paths given to the compiler are relative to this folder,
symbols and debug information are stripped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PLUGINS = Path(__file__).resolve().parent
BUNDLED = PLUGINS.parent / "sim" / "wasm" / "bundled"

EXIT_DIFFERENT = 1
EXIT_USAGE = 2
EXIT_BUILD_FAILED = 3


class BuildFailed(Exception):
    """The compiler refused the sources; the message is what it printed."""


def names(plugins: Path = PLUGINS) -> list[str]:
    """The plugins that can be built, sorted."""
    return sorted(main.parent.name for main in plugins.glob("*/main.zig"))


def build(name: str, plugins: Path = PLUGINS, global_cache: Path | None = None) -> bytes:
    """The module of one plugin, from the sources in `plugins`, with a cache of its own.

    `global_cache` keeps what the compiler brings along for every program, which takes longer than a plugin; without
    one that is built anew. Raises BuildFailed, also where the Zig compiler (the `ziglang` package) is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="plugin-build-") as scratch:
        output = Path(scratch) / "plugin.wasm"
        command = [
            *(sys.executable, "-m", "ziglang", "build-exe"),
            *("-target", "wasm32-freestanding", "-mcpu=mvp", "-O", "ReleaseSmall"),
            *("-fstrip", "-fno-entry", "-rdynamic", "-fsingle-threaded"),
            *("--name", name, f"-femit-bin={output}"),
            *("--cache-dir", f"{scratch}/cache", "--global-cache-dir", str(global_cache or f"{scratch}/global-cache")),
            *("--dep", "shared", f"-Mroot={name}/main.zig", "-Mshared=shared/shared.zig"),
        ]
        finished = subprocess.run(command, cwd=plugins, env=_environment(), capture_output=True, text=True)
        if finished.returncode != 0:
            raise BuildFailed(f"{name}: {finished.stderr.strip()}")
        return output.read_bytes()


def _environment() -> dict[str, str]:
    """The caller's, without settings of Zig's that would change what is built or where it is cached."""
    return {key: value for key, value in os.environ.items() if not key.startswith("ZIG_")}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="plugins/build.py", description="Builds the bundled plugins.")
    parser.add_argument("name", nargs="*", help="a plugin's folder; all of them when none is named")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a module is out of date")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.name) - set(names()))
    if unknown:
        print(f"no such plugin: {', '.join(unknown)}; there is {', '.join(names())}", file=sys.stderr)  # noqa: T201
        return EXIT_USAGE
    with tempfile.TemporaryDirectory(prefix="plugin-build-") as global_cache:
        return _build_each(options.name or names(), options.check, Path(global_cache))


def _build_each(plugins: list[str], check: bool, global_cache: Path) -> int:
    status = 0
    for name in plugins:
        target = BUNDLED / f"{name}.wasm"
        try:
            module = build(name, global_cache=global_cache)
        except BuildFailed as failure:
            print(failure, file=sys.stderr)  # noqa: T201
            return EXIT_BUILD_FAILED
        if not check:
            target.write_bytes(module)
            print(f"{target.name}: {len(module)} bytes")  # noqa: T201
        elif target.is_file() and target.read_bytes() == module:
            print(f"{target.name}: up to date")  # noqa: T201
        else:
            print(f"{target.name} is not what its sources build; run plugins/build.py {name}", file=sys.stderr)  # noqa: T201
            status = EXIT_DIFFERENT
    return status


if __name__ == "__main__":
    sys.exit(main())
