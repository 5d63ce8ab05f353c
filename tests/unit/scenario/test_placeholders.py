"""What a run draws by itself is replaced; what its author wrote is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.scenario.placeholders import Placeholders

FILE = f"{'a' * 64}/{'b' * 64}.wasm"
PLACES = Placeholders(
    ports={41235: "<gateway-port>", 40001: "<upstream-port>"}, modules={FILE: "<module of oci://a/b:1>"}
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("0.0.0.0_41235", "0.0.0.0_<gateway-port>"),
        ("http.41235", "http.<gateway-port>"),
        ("*:41235", "*:<gateway-port>"),
        ("http-41235-ingress", "http-<gateway-port>-ingress"),
        ("141235", "141235"),
        ("istio-4f41235b", "istio-4f41235b"),
        (f"/tmp/ecdsim-x1/modules/{FILE}", "<module of oci://a/b:1>"),
        (f"/tmp/other/{'c' * 64}/{'d' * 64}.wasm", "<module>"),
        ("oci://hub/x@sha256:" + "e" * 64, "oci://hub/x@sha256:" + "e" * 64),
    ],
)
def test_a_name_loses_the_ports_and_files_of_its_run_alone(name: str, expected: str) -> None:
    assert PLACES.name(name) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("dial 127.0.0.1:53211: refused", "dial 127.0.0.1:<port>: refused"),
        ("GET blobs/sha256:" + "0" * 64 + " failed", "GET blobs/<digest> failed"),
        ("after 3.2 s and 5ms", "after <duration> and <duration>"),
        (
            "at 2026-11-21T05:49:04Z/3f45b71dc-f6c7-487a-a159-09e1f336b461",
            "at <time>/3f45b71dc-f6c7-487a-a159-09e1f336b461",
        ),
        ("at 2026-11-21 05:49:04.123+00:00", "at <time>"),
        (f"Invalid path: /tmp/ecdsim-q/modules/{FILE}", "Invalid path: <module of oci://a/b:1>"),
        ("socket /tmp/ecdsim-q1/xds.sock is gone", "socket <temporary>/xds.sock is gone"),
        ("404: MANIFEST_UNKNOWN", "404: MANIFEST_UNKNOWN"),
    ],
)
def test_a_message_loses_whatever_a_run_may_put_into_one(message: str, expected: str) -> None:
    assert PLACES.text(message) == expected


def test_an_object_loses_the_stamps_of_the_store_and_nothing_of_its_spec() -> None:
    stamped = {"name": "a", "uid": "1", "resourceVersion": "2", "creationTimestamp": "t", "generation": 1}
    spec = {"metadata": {"uid": "the author's"}, "uid": "too"}
    made = PLACES.payload({"kind": "WasmPlugin", "metadata": stamped, "spec": spec})
    assert made == {"kind": "WasmPlugin", "metadata": {"name": "a", "generation": 1}, "spec": spec}


def test_the_resource_version_is_named_not_told() -> None:
    data = {"key_values": {"ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION": "17", "OTHER": "17"}}
    assert PLACES.payload(data)["key_values"] == {
        "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION": "<resource-version>",
        "OTHER": "17",
    }


def test_a_number_that_is_a_port_of_the_run_is_named() -> None:
    assert PLACES.payload({"port_value": 41235, "other": 80, "flag": True}) == {
        "port_value": "<gateway-port>",
        "other": 80,
        "flag": True,
    }


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=10,
)


@given(JSON)
def test_replacing_twice_is_replacing_once(data: Any) -> None:
    once = PLACES.payload(data)
    assert PLACES.payload(once) == once


@given(st.text(max_size=60))
def test_a_message_is_replaced_once_and_for_all(message: str) -> None:
    assert PLACES.text(PLACES.text(message)) == PLACES.text(message)
