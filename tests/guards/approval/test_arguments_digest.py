"""Digests of arguments: what is the same, and what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import InvalidInputError
from gateway.guards.approval.arguments_digest import MAX_BYTES, digest_arguments


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"b": 1, "a": 2}', '{"a":2,"b":1}'),
        ('{"n": 1.0}', '{"n": 1}'),
        ('{"n": 1e2, "s": "\\u00e9"}', '{"s": "é", "n": 100}'),
        ('{"n": -0.0}', '{"n": 0}'),
    ],
)
def test_the_same_value_has_the_same_digest_however_it_is_written(one: str, other: str) -> None:
    assert digest_arguments(json.loads(one)) == digest_arguments(json.loads(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"n": 9007199254740993}, {"n": 9007199254740992}),
        ({"n": 9007199254740993}, {"n": 0}),
        ({"n": 9007199254740993}, {"n": "9007199254740993"}),
        ({"a": 9007199254740993, "b": 0}, {"a": 0, "b": 9007199254740993}),
        ({"a/b": 2**60, "a": {"b": 0}}, {"a/b": 0, "a": {"b": 2**60}}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": None}, {}),
        ({"a": True}, {"a": 1}),
        ({"a": "e\u0301"}, {"a": "\u00e9"}),
    ],
)
def test_values_that_differ_have_digests_that_differ(one: Any, other: Any) -> None:
    assert digest_arguments(one) != digest_arguments(other)


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "arguments",
    [{"a": "\ud800"}, {"\ud800": 1}, {"a": float("nan")}, {"a": float("inf")}, nested(10_000), {"a": "x" * MAX_BYTES}],
    ids=["surrogate", "surrogate in a name", "NaN", "infinity", "deep", "long"],
)
def test_arguments_that_nobody_can_be_asked_about_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="arguments"):
        digest_arguments(arguments)
