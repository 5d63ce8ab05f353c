"""What a module was made of: language, tools and SDK, as far as the module tells.

Compilers write a `producers` section (tool conventions, `ProducersSection.md`), Go its build information into the data,
Rust the source paths of its panics, AssemblyScript those of its library as UTF-16. What was stripped stays unknown:
nothing here decides whether a module loads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sim.wasm.binary import MalformedModule, Reader
from sim.wasm.module import Module

#: The module paths of Higress' Go SDK: that of today, and that of before it had a repository of its own.
WASM_GO_SDKS = ("github.com/higress-group/wasm-go", "github.com/alibaba/higress/plugins/wasm-go")
_GO_SDKS = (
    *(path.encode() for path in WASM_GO_SDKS),
    b"github.com/higress-group/proxy-wasm-go-sdk",
    b"github.com/proxy-wasm/proxy-wasm-go-sdk",
    b"github.com/tetratelabs/proxy-wasm-go-sdk",
)
#: A line of what `go version -m` prints: dep, path, version.
_GO_DEPENDENCY = re.compile(rb"\ndep\t(" + b"|".join(map(re.escape, _GO_SDKS)) + rb")\t([\w.+-]+)")
_RUST_SDK = re.compile(rb"proxy-wasm-(\d+\.\d+\.\d+)[\w.+-]*/src/")
_ASSEMBLYSCRIPT_LIBRARY = "~lib/".encode("utf-16-le")
_CPP_LANGUAGES = ("C_plus_plus", "C++")


@dataclass(frozen=True, slots=True)
class Origin:
    """`tools` and `sdks` are names with versions, such as `rustc 1.95.0` and `proxy-wasm 0.2.5`; `language` may be
    unknown, None."""

    language: str | None = None
    tools: tuple[str, ...] = ()
    sdks: tuple[str, ...] = ()


def origin(module: Module) -> Origin:
    """What the module tells of its making. A `producers` section that can't be read counts for none."""
    fields = producers(module)
    tools = tuple(f"{name} {version}".strip() for name, version in fields.get("processed-by", []))
    languages = [name for name, _ in fields.get("language", [])]
    data = [segment.contents for segment in module.data_segments]
    if "Go" in languages or "go:buildid" in module.custom_sections:
        return Origin("Go", tools, tuple(_go_sdks(data)))
    if any("TinyGo" in tool for tool in tools):
        return Origin("Go (TinyGo)", tools)
    # A Rust program has pieces of C in it, by the WASI library.
    if "Rust" in languages:
        return Origin("Rust", tools, tuple(_rust_sdk(data)))
    if any(language.startswith(_CPP_LANGUAGES) for language in languages):
        return Origin("C++", tools)
    if "Zig" in languages:
        return Origin("Zig", tools)
    if any(_ASSEMBLYSCRIPT_LIBRARY in contents for contents in data):
        return Origin("AssemblyScript", tools)
    sdks = tuple(_rust_sdk(data))
    if sdks:
        return Origin("Rust", tools, sdks)
    if any(each.name == "emscripten_notify_memory_growth" for each in module.imports):
        return Origin("C++", tools)
    if any(language.startswith("C") for language in languages):
        return Origin("C", tools)
    return Origin(None, tools)


def producers(module: Module) -> dict[str, list[tuple[str, str]]]:
    """The `producers` section: for each field (`language`, `processed-by`, `sdk`) names and versions."""
    section = next((section for section in module.sections if section.name == "producers"), None)
    if section is None:
        return {}
    reader = Reader(section.payload)
    fields: dict[str, list[tuple[str, str]]] = {}
    try:
        reader.name("the section's name")
        for _ in range(reader.count("fields")):
            name = reader.name("a field's name")
            fields[name] = [(reader.name("a name"), reader.name("a version")) for _ in range(reader.count("values"))]
    except MalformedModule:
        return {}
    return fields


def _go_sdks(data: list[bytes]) -> Iterator[str]:
    for contents in data:
        for path, version in _GO_DEPENDENCY.findall(contents):
            yield f"{path.decode()} {version.decode()}"


def _rust_sdk(data: list[bytes]) -> Iterator[str]:
    for contents in data:
        found = _RUST_SDK.search(contents)
        if found is not None:
            yield f"proxy-wasm {found[1].decode()}"
            return
