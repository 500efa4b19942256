"""Results as members in JSON."""

from __future__ import annotations

import json

from gateway.downstream.serialized_result import SerializedResult


def test_a_result_reads_as_what_it_was_made_of() -> None:
    value = {"content": [{"type": "text", "text": "☃ \ud800"}], "big": 2**70, "\udfff": None}
    result = SerializedResult.of(value)
    assert result.value is value
    assert json.loads(result.to_json()) == value
    assert SerializedResult(result.members).value == value


def test_members_are_added_without_reading_those_that_are_there() -> None:
    page = SerializedResult({"tools": b"[ 1.0 ]"})
    assert SerializedResult({**page.members, "ttlMs": b"0"}).to_json() == b'{"tools":[ 1.0 ],"ttlMs":0}'
