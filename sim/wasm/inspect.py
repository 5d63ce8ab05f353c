"""What a module is, and whether stock Envoy loads it: facts, a verdict, and what to do about it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from sim.errors import SimError
from sim.wasm.abi import SHIM_ABI, abi_number, needs_shim, stock_abi
from sim.wasm.binary import MalformedModule
from sim.wasm.host_calls import FULL_WASI_SINCE, NEWEST_ENVOY, OLDEST_ENVOY, missing_host_calls
from sim.wasm.module import Module, SectionId, abi_versions, parse
from sim.wasm.origin import Origin, origin
from sim.wasm.rule_doubts import DOUBTFUL_KEYS, HINT, WHY, asks_higress_alone
from sim.wasm.stamp import stamped_version
from sim.wasm.structure import structure_defect

Verdict = Literal["yes", "with shim", "no"]

#: The exports by one of which Envoy asks a module for memory, the first that is there.
_ALLOCATORS = ("malloc", "proxy_on_memory_allocate")
#: So much code takes Envoy's main thread seconds to compile.
SLOW_CODE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that its author should know. `fatal`: because of it the gateway runs without the plugin."""

    what: str
    hint: str
    fatal: bool = True

    def as_dict(self) -> dict[str, Any]:
        return {"what": self.what, "hint": self.hint, "fatal": self.fatal}


@dataclass(frozen=True, slots=True)
class LoadsOn:
    """Whether stock Envoy loads the module: `yes`, `with shim` (sim.wasm.abi) or `no`, and why.

    `since` is the oldest release that does, among those that were tried (1.36 to 1.40); None where none does.
    """

    verdict: Verdict
    why: str
    since: tuple[int, int] | None

    def as_dict(self) -> dict[str, Any]:
        since = None if self.since is None else _dotted(self.since)
        return {"stock_envoy": self.verdict, "since": since, "why": self.why}


@dataclass(frozen=True, slots=True)
class ModuleReport:
    """A module's facts. `abis` are its `proxy_abi_version_*` exports; `imports` are `module.name`.

    `version` is what a bundled plugin was stamped with.
    """

    size_bytes: int
    sha256: str
    abis: tuple[str, ...]
    exports: tuple[str, ...]
    imports: tuple[str, ...]
    missing_host_calls: tuple[str, ...]
    function_count: int
    origin: Origin
    version: str | None
    loads_on: LoadsOn
    problems: tuple[Problem, ...]
    code_bytes: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "abi": [abi_number(name) for name in self.abis],
            "language": self.origin.language,
            "tools": list(self.origin.tools),
            "sdk": list(self.origin.sdks),
            "version": self.version,
            "functions": self.function_count,
            "exports": list(self.exports),
            "imports": list(self.imports),
            "missing_host_calls": list(self.missing_host_calls),
            "loads_on": self.loads_on.as_dict(),
        }


def inspect_module(content: bytes) -> ModuleReport:
    """Read a module and judge it. Raises MalformedModule for bytes that are none."""
    module = parse(content)
    missing = missing_host_calls(module)
    made = origin(module)
    problems = tuple(_fatal(module, missing, made)) or tuple(_remarks(module))
    return ModuleReport(
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        abis=abi_versions(module),
        exports=tuple(export.name for export in module.exports),
        imports=tuple(dict.fromkeys(f"{each.module}.{each.name}" for each in module.imports)),
        missing_host_calls=missing,
        function_count=module.function_count,
        origin=made,
        version=_version(content),
        loads_on=_loads_on(module, missing, problems),
        problems=problems,
        code_bytes=0 if (code := module.section(SectionId.CODE)) is None else len(code.payload),
    )


def not_a_module(error: MalformedModule) -> Problem:
    """The problem of bytes that can't be read as a module."""
    return Problem(error.message, error.hint or "compile the plugin again, and name the .wasm file that comes out")


def _version(content: bytes) -> str | None:
    try:
        return stamped_version(content)
    except SimError:
        return None


def _loads_on(module: Module, missing: tuple[str, ...], problems: tuple[Problem, ...]) -> LoadsOn:
    fatal = [problem.what for problem in problems if problem.fatal]
    if fatal:
        return LoadsOn("no", "; ".join(fatal), None)
    since = OLDEST_ENVOY
    why = []
    if missing_host_calls(module, OLDEST_ENVOY):
        since = FULL_WASI_SINCE
        why.append(f"before {_dotted(since)} Envoy lacks {_listed(missing_host_calls(module, OLDEST_ENVOY))}")
    abi = stock_abi(module.exports)
    if abi is None:
        names = ", ".join(abi_number(name) for name in abi_versions(module))
        why.insert(0, f"its ABI {names} is known to Higress' Envoy alone; renamed to {abi_number(SHIM_ABI)} it loads")
        return LoadsOn("with shim", "; ".join(why), since)
    return LoadsOn("yes", "; ".join(why) or f"ABI {abi_number(abi)}, and every host call is there", since)


def _fatal(module: Module, missing: tuple[str, ...], made: Origin) -> list[Problem]:
    """In the order in which Envoy would come upon them."""
    found = []
    defect = structure_defect(module)
    if defect is not None:
        found.append(not_a_module(defect))
    exports = {export.name: export.kind for export in module.exports}
    if stock_abi(module.exports) is None and not needs_shim(module.exports):
        found.append(_abi_problem(module, exports))
    if missing:
        found.append(
            Problem(
                f"stock Envoy (tried up to {_dotted(NEWEST_ENVOY)}) lacks {_listed(missing)}", _missing_hint(missing)
            )
        )
    if not any(exports.get(name) == "func" for name in _ALLOCATORS):
        found.append(
            Problem(
                f"it exports neither {_ALLOCATORS[0]} nor {_ALLOCATORS[1]}",
                "export the function by which the host asks for memory; every SDK does",
            )
        )
    # Go's runtime does more in _start than the host lets a module do before it is there.
    if made.language == "Go" and "_start" in exports and "_initialize" not in exports and abi_versions(module):
        found.append(
            Problem(
                "it is built as a program: it exports _start and no _initialize, and Envoy starts it in vain: "
                "restricted_callback",
                "build it with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared, as ecdsim plugin build does",
            )
        )
    return found


def _missing_hint(missing: tuple[str, ...]) -> str:
    if "env.abort" in missing:
        return "build AssemblyScript with --use abort=abort_proc_exit"
    if any("redis" in name for name in missing):
        return "Envoy refuses the module for the first of them; only Higress' own Envoy speaks Redis for a plugin"
    return "Envoy refuses the module for the first of them; leave out what needs them"


def _abi_problem(module: Module, exports: dict[str, str]) -> Problem:
    versions = abi_versions(module)
    if versions:
        return Problem(f"Envoy knows no ABI called {', '.join(versions)}", f"export {SHIM_ABI}, as a function")
    if "_start" in exports:
        return Problem(
            "it is a WASI program, not a plugin: it exports _start and no proxy_abi_version_*",
            "build a library: Go with -buildmode=c-shared, Rust with crate-type cdylib, C with -mexec-model=reactor",
        )
    return Problem(
        "it exports no proxy_abi_version_*, so no Proxy-Wasm host takes it",
        f"use a Proxy-Wasm SDK, or export a function called {SHIM_ABI}",
    )


def _remarks(module: Module) -> list[Problem]:
    found = []
    if not any(export.name.startswith("proxy_on_request") for export in module.exports) and not any(
        export.name.startswith(("proxy_on_response", "proxy_on_downstream", "proxy_on_upstream"))
        for export in module.exports
    ):
        found.append(Problem("it exports no callback for requests", "export proxy_on_request_headers", fatal=False))
    code = module.section(SectionId.CODE)
    if code is not None and len(code.payload) > SLOW_CODE_BYTES:
        found.append(
            Problem(
                f"{len(code.payload) / 1e6:.1f} MB of code: Envoy's main thread compiles it for seconds",
                "requests are served by the old version meanwhile; stripping it changes nothing",
                fatal=False,
            )
        )
    if asks_higress_alone(module):
        found.append(
            Problem(
                f"rules by ingress or service ({', '.join(DOUBTFUL_KEYS)}) never match on stock Envoy: {WHY}",
                HINT,
                fatal=False,
            )
        )
    return found


def _listed(names: tuple[str, ...], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _dotted(release: tuple[int, int]) -> str:
    return f"{release[0]}.{release[1]}"
