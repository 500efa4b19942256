"""What a definition means: the same in whatever order its sets are listed, another with whatever else differs."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.catalog.definition_hash import canonical_definition, hash_definition
from gateway.catalog.review.definition_diff import diff_definitions


def tool(schema: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "t", "description": "d", "inputSchema": {"type": "object", **schema}, **fields}


def parameter(**keywords: Any) -> dict[str, Any]:
    return tool({"properties": {"p": keywords}})


SAME = {
    "required": (tool({"required": ["a", "b"]}), tool({"required": ["b", "a"]})),
    "required of nothing": (tool({"required": []}), tool({})),
    "enum": (parameter(enum=["a", 1, None]), parameter(enum=[None, "a", 1])),
    "type": (parameter(type=["string", "null"]), parameter(type=["null", "string"])),
    "type of one": (parameter(type=["string"]), parameter(type="string")),
    "default, a list": (parameter(default=["x", "y"]), parameter(default=["y", "x"])),
    "default, a text with commas": (parameter(default="a,b,c"), parameter(default="c,a,b")),
    "default, with spaces": (parameter(default="a, b"), parameter(default="b, a")),
    "default, deep": (parameter(default={"k": ["x", "y"]}), parameter(default={"k": ["y", "x"]})),
    "examples": (parameter(examples=[1, 2]), parameter(examples=[2, 1])),
    "anyOf": (
        parameter(anyOf=[{"type": "null"}, {"type": "string"}]),
        parameter(anyOf=[{"type": "string"}, {"type": "null"}]),
    ),
    "allOf deep": (
        parameter(items={"allOf": [{"enum": [1, 2]}, {"type": "integer"}]}),
        parameter(items={"allOf": [{"type": "integer"}, {"enum": [2, 1]}]}),
    ),
    "dependentRequired": (
        tool({"dependentRequired": {"a": ["b", "c"]}}),
        tool({"dependentRequired": {"a": ["c", "b"]}}),
    ),
    "keys": (tool({"properties": {"a": {}, "b": {}}}), tool({"properties": {"b": {}, "a": {}}})),
    "numbers": (parameter(maximum=5), parameter(maximum=5.0)),
    "$defs": (
        tool({"$defs": {"N": {"required": ["a", "b"]}}}),
        tool({"$defs": {"N": {"required": ["b", "a"]}}}),
    ),
    "output": (
        tool({}, outputSchema={"type": "object", "required": ["a", "b"]}),
        tool({}, outputSchema={"type": "object", "required": ["b", "a"]}),
    ),
    "tags": (tool({}, _meta={"v": {"tags": ["a", "b"]}}), tool({}, _meta={"v": {"tags": ["b", "a"]}})),
}

ANOTHER = {
    "description": (tool({}, description="a, b"), tool({}, description="b, a")),
    "parameter description": (parameter(description="a, b"), parameter(description="b, a")),
    "required": (tool({"required": ["a"]}), tool({"required": ["a", "b"]})),
    "enum": (parameter(enum=["a"]), parameter(enum=["b"])),
    "default": (parameter(default="a,b"), parameter(default="a,c")),
    "default of another type": (parameter(default=1), parameter(default=True)),
    "prefixItems": (parameter(prefixItems=[{"type": "string"}, {}]), parameter(prefixItems=[{}, {"type": "string"}])),
    "const": (parameter(const=["a", "b"]), parameter(const=["b", "a"])),
    "enum of lists": (parameter(enum=[["a", "b"]]), parameter(enum=[["b", "a"]])),
    "a parameter called required": (
        tool({"properties": {"required": {"const": ["a", "b"]}}}),
        tool({"properties": {"required": {"const": ["b", "a"]}}}),
    ),
    "a vendor's list": (parameter(**{"x-order": ["a", "b"]}), parameter(**{"x-order": ["b", "a"]})),
    "annotations": (tool({}, annotations={"readOnlyHint": True}), tool({}, annotations={"readOnlyHint": False})),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=list(SAME))
def test_the_order_of_a_set_is_no_difference(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert hash_definition(one) == hash_definition(other)
    assert diff_definitions(one, other) == ()


@pytest.mark.parametrize(("one", "other"), ANOTHER.values(), ids=list(ANOTHER))
def test_what_means_something_else_is_a_difference(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert hash_definition(one) != hash_definition(other)
    assert len(diff_definitions(one, other)) >= 1


def test_only_what_means_something_else_is_named() -> None:
    before = tool({"properties": {"p": {"default": "a,b", "type": ["string", "null"]}, "q": {"maximum": 5}}})
    after = tool({"properties": {"q": {"maximum": 6}, "p": {"type": ["null", "string"], "default": "b,a"}}})
    assert [change.path for change in diff_definitions(before, after)] == ["/inputSchema/properties/q/maximum"]


def test_an_alternative_that_was_added_is_named_alone() -> None:
    before = parameter(anyOf=[{"type": "string"}, {"type": "null"}])
    after = parameter(anyOf=[{"type": "null"}, {"type": "integer"}, {"type": "string"}])
    (change,) = diff_definitions(before, after)
    assert (change.path, change.kind) == ("/inputSchema/properties/p/anyOf/1", "added")


@pytest.mark.parametrize("definition", [pair[0] for pair in (*SAME.values(), *ANOTHER.values())])
def test_the_form_of_the_form_is_itself(definition: dict[str, Any]) -> None:
    canonical = canonical_definition(definition)
    assert canonical_definition(canonical) == canonical
