"""What is told of a module."""

from __future__ import annotations

import hashlib
import json

import pytest

from sim.wasm import MalformedModule, bundled, bundled_names, parse, stamp
from sim.wasm.inspect import inspect_module
from sim.wasm.origin import origin, producers
from tests.wasm_modules import ABI_HIGRESS, HEADER, MEMORY_KIND, custom, export_section, leb, name, plugin

GO_BUILD_INFORMATION = (
    b"path\tmaintenance\nmod\tmaintenance\t(devel)\t\n"
    b"dep\tgithub.com/higress-group/wasm-go\tv1.1.1\th1:abc=\ndep\tgithub.com/tidwall/gjson\tv1.18.0\th1:def=\n"
)


def producers_section(**fields: list[tuple[str, str]]) -> bytes:
    written = leb(len(fields))
    for field, values in fields.items():
        pairs = b"".join(name(made) + name(version) for made, version in values)
        written += name(field.replace("_", "-")) + leb(len(values)) + pairs
    return custom("producers", written)


@pytest.mark.parametrize("plugin_name", bundled_names())
def test_every_bundled_plugin_loads_on_every_stock_envoy(plugin_name: str) -> None:
    module = stamp(bundled(plugin_name).module, "1.2.3")
    report = inspect_module(module)
    assert (report.loads_on.verdict, report.loads_on.since) == ("yes", (1, 36))
    assert report.problems == ()
    assert report.version == "1.2.3"
    assert report.sha256 == hashlib.sha256(module).hexdigest()
    assert report.as_dict()["abi"] == ["0.2.1"]
    assert "proxy_on_response_headers" in report.exports
    assert all(wanted.startswith("env.proxy_") for wanted in report.imports)
    json.dumps(report.as_dict())


def test_a_module_of_the_go_sdk_loads_with_the_shim_and_says_from_which_envoy_on() -> None:
    wanted = [("wasi_snapshot_preview1", "path_filestat_get"), ("env", "proxy_log")]
    more = producers_section(language=[("Go", "go1.26")], processed_by=[("Go cmd/compile", "go1.26")])
    report = inspect_module(plugin(abis=[ABI_HIGRESS], imports=wanted, data=[GO_BUILD_INFORMATION], more=more))
    assert (report.loads_on.verdict, report.loads_on.since) == ("with shim", (1, 39))
    assert "0.2.100" in report.loads_on.why and "path_filestat_get" in report.loads_on.why
    assert not any(problem.fatal for problem in report.problems)
    assert (report.origin.language, report.origin.tools) == ("Go", ("Go cmd/compile go1.26",))
    assert report.origin.sdks == ("github.com/higress-group/wasm-go v1.1.1",)


@pytest.mark.parametrize(
    ("module", "told", "hint"),
    [
        (plugin(imports=[("env", "proxy_redis_init")]), "lacks env.proxy_redis_init", "Redis"),
        (plugin(imports=[("env", "abort")]), "lacks env.abort", "abort=abort_proc_exit"),
        (plugin(abis=[]), "exports no proxy_abi_version_*", "Proxy-Wasm SDK"),
        (plugin(abis=[], callbacks=["_start"]), "a WASI program", "-buildmode=c-shared"),
        (plugin(abis=["proxy_abi_version_0_3_0"]), "no ABI called proxy_abi_version_0_3_0", "export"),
        (plugin(allocator=None), "neither malloc nor proxy_on_memory_allocate", "SDK"),
        (HEADER + export_section([(ABI_HIGRESS, MEMORY_KIND, 0)]), "no ABI called", "as a function"),
    ],
)
def test_a_module_that_envoy_refuses_says_why_and_what_to_do(module: bytes, told: str, hint: str) -> None:
    report = inspect_module(module)
    assert (report.loads_on.verdict, report.loads_on.since) == ("no", None)
    assert told in report.loads_on.why
    assert any(problem.fatal and told in problem.what and hint in problem.hint for problem in report.problems)


def test_many_missing_calls_are_counted() -> None:
    report = inspect_module(plugin(imports=[("env", f"unknown_{number}") for number in range(9)]))
    assert "and 5 more" in report.loads_on.why
    assert len(report.missing_host_calls) == 9


def test_a_plugin_without_a_callback_for_requests_is_worth_a_note() -> None:
    (note,) = inspect_module(plugin()).problems
    assert not note.fatal and "no callback for requests" in note.what
    assert inspect_module(plugin(callbacks=["proxy_on_response_body"])).problems == ()


def test_bytes_that_are_no_module_are_refused() -> None:
    with pytest.raises(MalformedModule):
        inspect_module(b"\x1f\x8b not a module")


@pytest.mark.parametrize(
    ("module", "language", "sdks"),
    [
        (
            plugin(
                more=producers_section(language=[("Rust", ""), ("C11", "")]),
                data=[b"/registry/src/x/proxy-wasm-0.2.5/src/dispatcher.rs"],
            ),
            "Rust",
            ("proxy-wasm 0.2.5",),
        ),
        (plugin(data=[b"proxy-wasm-0.2.5/src/traits.rs"]), "Rust", ("proxy-wasm 0.2.5",)),
        (plugin(data=["~lib/rt/pure.ts".encode("utf-16-le")]), "AssemblyScript", ()),
        (plugin(more=custom("go:buildid", b"x")), "Go", ()),
        (plugin(more=producers_section(processed_by=[("TinyGo", "0.29")])), "Go (TinyGo)", ()),
        (plugin(more=producers_section(language=[("C_plus_plus_17", "")])), "C++", ()),
        (plugin(imports=[("env", "emscripten_notify_memory_growth")]), "C++", ()),
        (plugin(more=producers_section(language=[("C11", "")])), "C", ()),
        (plugin(), None, ()),
    ],
)
def test_language_and_sdk_are_recognised_by_what_compilers_leave(
    module: bytes, language: str | None, sdks: tuple[str, ...]
) -> None:
    found = origin(parse(module))
    assert (found.language, found.sdks) == (language, sdks)


@pytest.mark.parametrize("payload", [b"", b"\x05", b"\x01\x04name\x7f", b"\x01\x08language\x01\x02\xff\xff\x00"])
def test_a_producers_section_that_can_not_be_read_counts_for_none(payload: bytes) -> None:
    assert producers(parse(plugin(more=custom("producers", payload)))) == {}
