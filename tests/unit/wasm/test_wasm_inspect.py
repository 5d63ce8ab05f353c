"""What is told of a module."""

from __future__ import annotations

import contextlib
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.wasm import MalformedModule, bundled, bundled_names, parse, stamp
from sim.wasm.inspect import inspect_module
from sim.wasm.origin import origin, producers
from sim.wasm.rule_doubts import rule_doubts
from tests.broken_modules import BROKEN, ODD, SOUND
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


@pytest.mark.parametrize(("module", "told"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_module_whose_parts_do_not_fit_together_is_not_loadable(module: bytes, told: str) -> None:
    report = inspect_module(module)
    assert report.loads_on.verdict == "no"
    assert told in report.problems[0].what and "malformed Wasm module at offset" in report.problems[0].what
    assert report.problems[0].hint


@pytest.mark.parametrize("module", [SOUND, *(row[1] for row in ODD)], ids=["sound", *(row[0] for row in ODD)])
def test_what_is_odd_and_loads_has_no_problem(module: bytes) -> None:
    report = inspect_module(module)
    assert (report.loads_on.verdict, report.problems) == ("yes", ())


@given(st.integers(0, len(SOUND) - 1), st.integers(0, 255))
def test_a_flipped_byte_is_judged_or_refused(offset: int, value: int) -> None:
    changed = SOUND[:offset] + bytes((value,)) + SOUND[offset + 1 :]
    with contextlib.suppress(MalformedModule):
        json.dumps(inspect_module(changed).as_dict())


GO = producers_section(language=[("Go", "go1.26")])


def test_a_go_program_is_told_from_a_go_library() -> None:
    (problem,) = inspect_module(plugin(abis=[ABI_HIGRESS], callbacks=["_start"], more=GO)).problems[-1:]
    assert problem.fatal and "restricted_callback" in problem.what and "-buildmode=c-shared" in problem.hint
    rust = producers_section(language=[("Rust", "")])
    for callbacks, more in ((["_start"], rust), (["_start", "_initialize"], GO)):
        problems = inspect_module(plugin(abis=[ABI_HIGRESS], callbacks=callbacks, more=more)).problems
        assert not any("restricted_callback" in problem.what for problem in problems)


RULES = {
    "_rules_": [
        {"_match_domain_": ["a.com"], "_match_service_": ["ignored"]},
        {"_match_route_": ["shop/orders"]},
        {"_match_service_": ["web.default"]},
        {"_match_route_prefix_": ["shop"]},
    ]
}


def test_rules_that_wasm_go_never_applies_on_stock_envoy_are_named() -> None:
    made_with_it = parse(plugin(abis=[ABI_HIGRESS], data=[GO_BUILD_INFORMATION], more=GO))
    doubt = rule_doubts(made_with_it, RULES)
    assert doubt is not None
    assert doubt.startswith(
        "rule:1 (_match_route_), rule:2 (_match_service_), rule:3 (_match_route_prefix_) will never"
    )
    assert "stock Envoy leaves empty" in doubt
    assert rule_doubts(made_with_it, {"_rules_": RULES["_rules_"][:1]}) is None
    assert rule_doubts(made_with_it, {}) is None and rule_doubts(made_with_it, None) is None
    assert rule_doubts(parse(SOUND), RULES) is None


@pytest.mark.parametrize("sdk", ["github.com/higress-group/wasm-go", "github.com/alibaba/higress/plugins/wasm-go"])
def test_a_module_of_wasm_go_comes_with_a_note_on_rules(sdk: str) -> None:
    data = [b"mod\tx\ndep\t%s\tv1.0.0\n" % sdk.encode()]
    (note,) = inspect_module(
        plugin(abis=[ABI_HIGRESS], callbacks=["proxy_on_request_headers"], data=data, more=GO)
    ).problems
    assert not note.fatal
    assert "_match_route_, _match_service_, _match_route_prefix_" in note.what


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
