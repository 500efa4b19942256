"""JSON as it is read, handed on and put together: nothing that another has written is changed on the way."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import TooDeepError
from gateway.json_codec import assemble, check_sendable, decode, encode

ODD: list[Any] = [2**64, -(2**80), 10**40, "\ud800", {"\udfff": "\ud800"}, "☃", 1.0, 1e-7, [[], {}, None, True]]


def nested(depth: int, value: Any = 1) -> Any:
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", ODD)
def test_what_other_parsers_change_stays_as_it_is(value: Any) -> None:
    assert decode(encode(value)) == value
    assert json.loads(encode(value)) == value


def test_a_number_that_is_none_is_no_null() -> None:
    assert math.isnan(decode(encode({"a": math.nan}))["a"])


def test_what_is_nested_too_deeply_is_neither_read_nor_passed_on() -> None:
    assert decode("[" * 100 + "]" * 100) == nested(99, [])
    check_sendable(nested(100))
    for refused in (lambda: decode("[" * 300 + "]" * 300), lambda: check_sendable(nested(300))):
        with pytest.raises(ValueError, match="nested too deeply"):
            refused()
    with pytest.raises(TooDeepError):
        encode(nested(100_000))


def test_text_that_is_json_already_goes_in_as_it_stands() -> None:
    schema = b'{"z": 1.0, "a": [ 12345678901234567890123 ], "e": "\\ud800"}'
    assert assemble({"id": 1, "tools": [schema, b"[1]"]}) == b'{"id":1,"tools":[' + schema + b",[1]]}"


@pytest.mark.parametrize("odd", [2**64, "\ud800"])
def test_what_orjson_does_not_take_is_assembled_all_the_same(odd: Any) -> None:
    assert json.loads(assemble({"id": odd, "result": b'{"a": "\\ud800"}'})) == {"id": odd, "result": {"a": "\ud800"}}


def test_a_member_whose_name_is_no_text_is_assembled_all_the_same() -> None:
    assert json.loads(assemble({"\ud800": b"[1]"})) == {"\ud800": [1]}


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.booleans(), max_size=5))
def test_an_assembled_object_reads_as_what_it_was_made_of(value: dict[str, Any]) -> None:
    assert json.loads(assemble({name: encode(member) for name, member in value.items()})) == value
    assert json.loads(assemble(value)) == value
