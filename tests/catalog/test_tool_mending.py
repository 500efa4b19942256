"""Odd tools: what every client can read is kept of each."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.catalog.listed_fields import mend_prompt, mend_resource
from gateway.catalog.tool import parse_listing
from gateway.catalog.tool_mending import mend_tool

ODD = json.loads((Path(__file__).parents[1] / "cases" / "tools-odd.json").read_text(encoding="utf-8"))
OBJECT = {"type": "object"}


def mended(**fields: Any) -> dict[str, Any]:
    """What becomes of a tool with these fields, without its name and its schema where that is plain."""
    entry = {"name": "t", "inputSchema": OBJECT, **fields}
    before = copy.deepcopy(entry)
    tool = mend_tool(entry)
    assert entry == before
    return {key: value for key, value in tool.items() if key != "name" and (key, value) != ("inputSchema", OBJECT)}


def test_every_odd_tool_that_can_be_mended_is_listed_and_the_others_have_a_reason() -> None:
    tools, skipped = parse_listing(ODD)
    assert {each.name: each.reason for each in skipped} == {
        "no_input_schema": "inputSchema: Field required",
        "null_input_schema": "inputSchema: Input should be a valid dictionary",
        "good": "another tool of the same listing has this name",
    }
    assert len(tools) == len(ODD) - 3
    for each in tools:
        assert each.raw["inputSchema"]["type"] == "object"
        assert each.raw["inputSchema"].get("properties", {}) is not None
        assert not {"annotations", "outputSchema", "icons", "title", "_meta"} & each.raw.keys()
        assert each.raw.get("description", "") is not None


@pytest.mark.parametrize("field", ["title", "annotations", "icons", "execution", "_meta", "outputSchema"])
@pytest.mark.parametrize("value", [None, 5, "text", [], True, {"a": 1}])
def test_an_optional_field_that_is_null_or_of_a_wrong_type_is_dropped(field: str, value: Any) -> None:
    right = {"title": str, "icons": list, "annotations": dict, "_meta": dict, "execution": dict}.get(field)
    assert mended(**{field: value}) == ({field: value} if right is not None and isinstance(value, right) else {})


def test_a_description_of_null_is_none() -> None:
    assert mended(description=None) == {}
    assert mended(description="d") == {"description": "d"}


def test_annotations_keep_what_is_right_in_them() -> None:
    given = {"title": None, "readOnlyHint": True, "destructiveHint": "no", "idempotentHint": None, "x-vendor": None}
    assert mended(annotations=given) == {"annotations": {"readOnlyHint": True, "x-vendor": None}}


def test_icons_keep_what_is_right_in_them() -> None:
    icons = [{"src": "a", "sizes": "48x48", "mimeType": None, "theme": "blue"}, {"mimeType": "x"}, None, {"src": "b"}]
    assert mended(icons=icons) == {"icons": [{"src": "a"}, {"src": "b"}]}


def test_execution_keeps_what_clients_know() -> None:
    assert mended(execution={"taskSupport": "often"}) == {"execution": {}}
    assert mended(execution={"taskSupport": "optional"}) == {"execution": {"taskSupport": "optional"}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, OBJECT),
        ({"type": None}, {"type": "object"}),
        ({"type": ["object", "null"]}, OBJECT),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        ({"type": "object", "properties": None}, {"type": "object", "properties": {}}),
        ({"type": "object", "properties": []}, {"type": "object", "properties": {}}),
        (
            {"type": "object", "properties": {"a": True, "b": False, "c": None, "d": "string"}},
            {"type": "object", "properties": {"a": {}, "b": {"not": {}}, "c": {}, "d": {}}},
        ),
        ({"type": "object", "required": None}, OBJECT),
        ({"type": "object", "required": True}, OBJECT),
        ({"type": "object", "required": ["a", 5, None]}, {"type": "object", "required": ["a"]}),
        ({"type": "object", "$schema": 5}, OBJECT),
        (
            {"type": "object", "additionalProperties": False, "x-a": 1},
            {"type": "object", "additionalProperties": False, "x-a": 1},
        ),
    ],
)
def test_the_schema_of_the_arguments_is_one_that_clients_read(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert mend_tool({"name": "t", "inputSchema": schema})["inputSchema"] == expected


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "array", "items": {}},
        {"type": ["object", "null"]},
        {"type": "object", "properties": {"a": {"type": "strign"}}},
        {"type": "object", "properties": {"a": {"pattern": "("}}},
        {"type": "object", "required": "a"},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/Missing"}}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.com/schema"}}},
        {"type": "object", "properties": {"a": {"$ref": "Other"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/a~5"}}},
    ],
)
def test_an_output_schema_that_clients_cannot_compile_is_dropped(schema: dict[str, Any]) -> None:
    assert mended(outputSchema=schema) == {}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {
            "type": "object",
            "properties": {"n": {"$ref": "#/$defs/N"}},
            "$defs": {"N": {"properties": {"n": {"$ref": "#"}}}},
        },
        {"type": "object", "anyOf": [{"$ref": "#/anyOf/1"}, {}]},
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": {"a": {"type": "string"}},
        },
    ],
)
def test_an_output_schema_that_clients_can_compile_stays(schema: dict[str, Any]) -> None:
    assert mended(outputSchema=schema) == {"outputSchema": schema}


def test_an_output_schema_without_properties_gets_some() -> None:
    assert mended(outputSchema={"type": "object", "properties": None})["outputSchema"]["properties"] == {}


def test_prompts_and_resources_keep_what_clients_read() -> None:
    prompt = {"name": "p", "title": None, "arguments": [{"name": "a", "required": None}, {"required": True}, None]}
    assert mend_prompt(prompt) == {"name": "p", "arguments": [{"name": "a"}]}
    assert mend_prompt({"name": "p", "arguments": None, "_meta": []}) == {"name": "p"}
    resource = {"uri": "a:b", "mimeType": None, "size": "5", "annotations": {"priority": 7, "audience": ["user"]}}
    assert mend_resource(resource) == {"uri": "a:b", "name": "a:b", "annotations": {"audience": ["user"]}}
    assert mend_resource({"uriTemplate": "a:{b}", "name": "n", "annotations": 5}) == {
        "uriTemplate": "a:{b}",
        "name": "n",
    }
