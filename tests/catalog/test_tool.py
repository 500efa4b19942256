"""Reading what a server lists, one tool at a time."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.catalog.tool import make_storable, parse_listing
from gateway.upstream.unusable_tool import unusable_tool
from tests.support.listed import tool


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("not an object", "it is not a JSON object"),
        ({"name": "t"}, "inputSchema: Field required"),
        ({"name": "t", "inputSchema": None}, "inputSchema: Input should be a valid dictionary"),
        ({"name": "t", "inputSchema": {"type": ["string", "null"]}}, 'inputSchema: its type is not "object"'),
        ({"name": "t", "inputSchema": {"type": "array"}}, 'inputSchema: its type is not "object"'),
        ({"name": "", "inputSchema": {"type": "object"}}, "its name has 0 characters, not 1 to 256"),
        ({"name": 5, "inputSchema": {"type": "object"}}, "name: Input should be a valid string"),
        ({**tool("t"), "description": 5}, "description: Input should be a valid string"),
        (tool("t", "a\x00b"), "it holds a null character"),
        (tool("t", "\ud800"), "it holds characters or numbers that JSON does not have"),
        (tool("t", "x" * 300_000), "its definition has 300077 bytes, more than 262144"),
        (unusable_tool("t", "its schema leads nowhere"), "its schema leads nowhere"),
        (unusable_tool("t", "x" * 5_000), "x" * 1_000),
        ({**tool("t"), "inputSchema": deep(10_000)}, "its definition is nested too deeply"),
    ],
)
def test_a_tool_that_cannot_be_used_is_told_and_the_others_stay(entry: Any, reason: str) -> None:
    tools, skipped = parse_listing([tool("before"), entry, tool("after")])
    assert [good.name for good in tools] == ["before", "after"]
    assert [bad.reason for bad in skipped] == [reason]


def test_a_tool_without_a_name_is_told_by_its_place() -> None:
    _, skipped = parse_listing([tool("a"), {"inputSchema": {"type": "object"}}])
    assert skipped[0].name == "(number 2)"


def test_the_second_tool_of_a_name_is_left_out() -> None:
    tools, skipped = parse_listing([tool("a", "first"), tool("a", "second")])
    assert [each.description for each in tools] == ["first"]
    assert skipped[0].reason == "another tool of the same listing has this name"


def test_a_description_may_write_about_null_characters() -> None:
    tools, skipped = parse_listing([tool("a", r"ends in \u0000 or \\u0000")])
    assert (len(tools), skipped) == (1, [])


def test_the_order_of_keys_is_kept_and_does_not_change_the_hash() -> None:
    one, _ = parse_listing([{"name": "a", "inputSchema": {"type": "object"}, "description": "d"}])
    other, _ = parse_listing([{"description": "d", "inputSchema": {"type": "object"}, "name": "a"}])
    assert one[0].content_hash == other[0].content_hash
    assert list(one[0].raw) == ["name", "inputSchema", "description"]


def test_storable_reaches_into_every_depth() -> None:
    assert make_storable({"a\x00": ["\ud800", 1, None, {"b": "ok"}]}) == {
        "a\N{REPLACEMENT CHARACTER}": ["?", 1, None, {"b": "ok"}]
    }
