"""What each profile says of the real system behind it, where no capture tells."""

from __future__ import annotations

from typing import Any

import pytest

from sim.envoy.bootstrap import BootstrapOptions, bootstrap
from sim.model import HTTP_COMPOSITE, HTTP_WASM, LDS, gateway_node
from sim.profiles import Profile, load_profile
from tests.unit.discovery.worlds import GATEWAY, answered, configuration, http_filters, push_context

_FILTERS = "envoy.filters.http."
#: The course's chain; its plugins by the phases and priorities that put them there.
CHAIN = [
    _FILTERS + "cors",
    "higress-system.custom-response",
    "higress-system.wasm-transformer",
    _FILTERS + "rbac",
    _FILTERS + "local_ratelimit",
    "higress-system.wasm-keyauth",
    "higress-system.easy-logger",
    _FILTERS + "fault",
    _FILTERS + "router",
]
PLUGINS: dict[str, dict[str, Any]] = {
    "custom-response": {"phase": "AUTHN", "priority": 200},
    "wasm-transformer": {"phase": "AUTHN", "priority": 100, "failStrategy": "FAIL_OPEN"},
    "wasm-keyauth": {"priority": 20},
    "easy-logger": {"priority": 10, "failStrategy": "FAIL_OPEN"},
}


def course_chain() -> list[dict[str, Any]]:
    specs = {f"higress-system/{name}": {"url": "oci://r.example/p:1", **spec} for name, spec in PLUGINS.items()}
    held = configuration(Gateway=GATEWAY, WasmPlugin=specs)
    (listener,) = answered(push_context(held, "higress"), LDS).values()
    return http_filters(listener)


def test_the_courses_chain_stands_in_the_order_of_its_listing() -> None:
    assert [found["name"] for found in course_chain()] == CHAIN


def test_every_plugin_of_the_course_has_the_empty_composite_and_no_rbac() -> None:
    sources = [found["config_discovery"] for found in course_chain() if "config_discovery" in found]
    assert len(sources) == len(PLUGINS)
    # A time of zero is none to wait for: the listener waits as long as it takes.
    expected = {
        "config_source": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
        "default_config": {"@type": HTTP_COMPOSITE},
        "apply_default_config_without_warming": True,
        "type_urls": [HTTP_WASM, HTTP_COMPOSITE],
    }
    assert sources == [expected] * len(PLUGINS)


@pytest.mark.parametrize(
    ("profile", "api_type"), [("istio-1.27", "DELTA_GRPC"), ("higress-1.19", "GRPC"), ("higress", "GRPC")]
)
def test_envoy_is_told_to_speak_the_variant_of_the_profile(profile: str, api_type: str) -> None:
    delta = load_profile(profile).xds_variant == "delta"
    made = bootstrap(BootstrapOptions(node=gateway_node(), xds_address="unix:/x", delta=delta, upstream_port=1))
    assert made["dynamic_resources"]["ads_config"]["api_type"] == api_type


def test_the_course_differs_from_the_fork_in_two_things_alone() -> None:
    course, fork = load_profile("higress"), load_profile("higress-1.19")
    differing = {field for field in Profile.model_fields if getattr(course, field) != getattr(fork, field)}
    assert differing - {"name", "title"} == {"config_discovery", "on_fetch_failure"}
