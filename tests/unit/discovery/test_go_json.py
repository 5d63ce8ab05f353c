"""A plugin's configuration as text, against what golang/protobuf's jsonpb wrote for the same Struct."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from sim.discovery.go_json import struct_text

NUMBERS = {
    1.0: "1",
    1.5: "1.5",
    -3.0: "-3",
    0.1: "0.1",
    1e-5: "0.00001",
    1e-6: "0.000001",
    9.5e-7: "9.5e-7",
    1e-7: "1e-7",
    -1e-10: "-1e-10",
    1.25e-9: "1.25e-9",
    5e-324: "5e-324",
    1e16: "10000000000000000",
    9007199254740993.0: "9007199254740992",
    123456789012345680.0: "123456789012345680",
    123456.789e10: "1234567890000000",
    1e20: "100000000000000000000",
    1e21: "1e+21",
    1e100: "1e+100",
    1.5e300: "1.5e+300",
    1.7976931348623157e308: "1.7976931348623157e+308",
    math.inf: '"Infinity"',
    -math.inf: '"-Infinity"',
}


def struct(**fields: Any) -> Struct:
    made = Struct()
    made.update(fields)
    return made


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_is_written_as_go_writes_it(number: float) -> None:
    assert struct_text(struct(n=number)) == f'{{"n":{NUMBERS[number]}}}'


def test_nothing_negative_and_not_a_number_have_their_own_words() -> None:
    assert struct_text(struct(n=-0.0)) == '{"n":-0}'
    assert struct_text(struct(n=0.0)) == '{"n":0}'
    assert struct_text(struct(n=math.nan)) == '{"n":"NaN"}'


def test_keys_are_sorted_by_their_bytes_and_there_is_no_white_space() -> None:
    made = struct(**{"é": True, "a": None, "Z": [], "\U0001f600": False, "\uffff": {}, "l": [1, "x", {"y": None}]})
    assert struct_text(made) == '{"Z":[],"a":null,"l":[1,"x",{"y":null}],"é":true,"\uffff":{},"\U0001f600":false}'


def test_strings_and_keys_are_escaped_for_html_as_well() -> None:
    text = 'a<b>&c\u2028\u2029\u007f\u0001\b\f\n\r\t"\\/é插\U0001f600'
    expected = '"a\\u003cb\\u003e\\u0026c\\u2028\\u2029\u007f\\u0001\\b\\f\\n\\r\\t\\"\\\\/é插\U0001f600"'
    assert struct_text(struct(**{"a<&>b": text})) == f'{{"a\\u003c\\u0026\\u003eb":{expected}}}'


def test_an_empty_struct_is_an_empty_object() -> None:
    assert struct_text(Struct()) == "{}"


def test_a_value_without_a_kind_is_refused() -> None:
    made = Struct()
    made.fields["x"].CopyFrom(Value())
    with pytest.raises(ValueError, match="nil"):
        struct_text(made)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_the_text_says_what_the_struct_held(fields: dict[str, Any]) -> None:
    assert json.loads(struct_text(struct(**fields)), parse_int=float) == fields
