"""Schemas of hostile servers: nothing is fetched, nothing hangs, and nothing of a value is told."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from gateway.errors import GuardError
from gateway.guards.builtin.schema import problem_of_result
from gateway.guards.builtin.schemas import ToolSchema


def schema(**said: Any) -> ToolSchema:
    return ToolSchema(json.dumps({"type": "object", **said}))


def test_what_does_not_fit_is_told_by_its_place_and_not_by_its_value() -> None:
    people = {"type": "array", "items": {"type": "object", "properties": {"age": {"type": "integer", "maximum": 150}}}}
    said = schema(properties={"people": people}, required=["people"]).problem
    assert said({"people": [{"age": 5}]}) is None
    assert said({"people": [{"age": 5}, {"age": 4711}]}) == "/people/1/age does not fit its maximum"
    assert said({}) == "the whole does not fit its required"
    assert "secret" not in str(said({"people": "secret"}))


@pytest.mark.parametrize(
    "said",
    [
        {"properties": {"a": {"$ref": "http://127.0.0.1:9/schema.json"}}},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"properties": {"a": {"$ref": "#/$defs/missing"}}},
        {"properties": {"a": {"type": "no type"}}},
        {"properties": {"a": {"pattern": "("}}},
    ],
)
def test_a_schema_that_refers_elsewhere_or_is_none_cannot_be_used_and_nothing_is_fetched(said: Any) -> None:
    unusable = schema(**said)
    with pytest.raises(GuardError, match="the tool's schema cannot be used"):
        unusable.problem({"a": "x"})


def test_a_pattern_that_goes_back_over_what_it_has_read_takes_no_longer_for_it() -> None:
    slow = schema(properties={"a": {"pattern": "^(a+)+$"}})
    started = time.thread_time()
    assert slow.problem({"a": "a" * 50_000 + "!"}) == "/a does not fit its pattern"
    assert time.thread_time() - started < 1


def test_a_schema_that_refers_to_itself_holds_for_deep_values() -> None:
    tree = ToolSchema(json.dumps({"type": "object", "properties": {"child": {"$ref": "#"}, "n": {"type": "integer"}}}))
    value: dict[str, Any] = {"n": "no number"}
    for _ in range(100):
        value = {"child": value}
    assert str(tree.problem(value)).endswith("does not fit its type")


def test_only_a_result_that_is_one_has_to_fit() -> None:
    said = schema(properties={"n": {"type": "integer"}}, required=["n"])
    assert problem_of_result({"content": [], "structuredContent": {"n": 1}}, said) is None
    assert problem_of_result({"content": []}, said) == "there is no structured content"
    assert problem_of_result({"content": [], "isError": True}, said) is None
    assert problem_of_result({"resultType": "input_required", "inputRequests": {}}, said) is None
    assert problem_of_result({"content": []}, None) is None
