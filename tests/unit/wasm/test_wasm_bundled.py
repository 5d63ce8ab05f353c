from __future__ import annotations

import pytest

from sim.errors import InvalidInput
from sim.wasm import abi_versions, bundled, bundled_names, parse


@pytest.mark.parametrize("name", bundled_names())
def test_every_bundled_plugin_is_a_small_proxy_wasm_module_without_wasi(name: str) -> None:
    plugin = bundled(name)
    parsed = parse(plugin.module)
    assert plugin.name == name
    assert plugin.version_header == f"x-{name}-version"
    assert abi_versions(parsed) == ("proxy_abi_version_0_2_1",)
    assert {item.module for item in parsed.imports} == {"env"}
    assert {item.kind for item in parsed.imports} == {"func"}
    assert {"memory", "proxy_on_response_headers", "proxy_on_memory_allocate"} <= {e.name for e in parsed.exports}
    assert len(plugin.module) < 100_000
    assert parsed.custom_sections == ()


def test_the_courses_chain_is_bundled() -> None:
    assert {"custom-response", "transformer", "key-auth", "easy-logger", "request-block"} <= set(bundled_names())


@pytest.mark.parametrize("misspelt", ["request_block", "requestblock", "Request-Block", "request-blok"])
def test_a_misspelt_plugin_gets_a_suggestion(misspelt: str) -> None:
    with pytest.raises(InvalidInput, match="did you mean request-block"):
        bundled(misspelt)


def test_an_unknown_plugin_gets_the_names_there_are() -> None:
    with pytest.raises(InvalidInput, match="bundled are custom-response, easy-logger, header-loop, ") as caught:
        bundled("../../etc/passwd")
    assert "did you mean" not in str(caught.value)
