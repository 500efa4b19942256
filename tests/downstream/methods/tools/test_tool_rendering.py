"""Tools in fewer words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.downstream.methods.tools.tool_rendering import compact_schema, shorten, signature_of, summarize

SCHEMA_WORDS = st.sampled_from(
    [
        "type",
        "properties",
        "required",
        "items",
        "enum",
        "const",
        "anyOf",
        "$ref",
        "$defs",
        "title",
        "additionalProperties",
    ]
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | SCHEMA_WORDS, inner, max_size=4),
    max_leaves=20,
)


def schema(required: list[str] | None = None, **properties: Any) -> str:
    return json.dumps({"type": "object", "properties": properties, "required": required or []})


def test_a_signature_names_required_parameters_first() -> None:
    string = {"type": "string"}
    text = schema(["owner", "title"], labels={"type": "array", "items": string}, owner=string, title=string)
    assert signature_of("create_issue", text) == "create_issue(owner: string, title: string, labels?: string[])"


@pytest.mark.parametrize(
    ("parameter", "type_name"),
    [
        ({"enum": ["asc", "desc"]}, '"asc"|"desc"'),
        ({"const": "all"}, '"all"'),
        ({"type": ["integer", "null"]}, "integer"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string"),
        ({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "number"}]}}, "(string|number)[]"),
        ({"type": "array"}, "any[]"),
        ({"$ref": "#/properties/other"}, "number"),
        ({"$ref": "https://elsewhere.example/schema"}, "any"),
        ({"properties": {}}, "object"),
        (True, "any"),
        ({}, "any"),
    ],
)
def test_a_signature_says_what_kind_a_parameter_is(parameter: Any, type_name: str) -> None:
    text = schema(["it", "other"], it=parameter, other={"type": "number"})
    assert signature_of("tool", text) == f"tool(it: {type_name}, other: number)"


def test_a_schema_that_refers_to_itself_has_a_signature() -> None:
    assert signature_of("tool", schema(it={"$ref": "#/properties/it"})) == "tool(it?: any)"


@pytest.mark.parametrize(
    ("words", "signature"),
    [
        ({"$ref": "#/$defs/A"}, "tool(a: string)"),
        ({"allOf": [{"$ref": "#/$defs/A"}, {"properties": {"b": {"type": "number"}}}]}, "tool(a: string, b?: number)"),
        ({"properties": {"c": {}}, "oneOf": [{"$ref": "#/$defs/A"}]}, "tool(c?: any, …)"),
        ({"oneOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}]}, "tool(…)"),
        ({"anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}, "tool(…)"),
        (
            {"properties": {"a": {}, "b": {}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            "tool(a?: any, b?: any)",
        ),
        ({"required": ["a"]}, "tool(a: any)"),
        ({"additionalProperties": {"type": "string"}}, "tool(…)"),
        ({"$ref": "https://elsewhere.example/schema"}, "tool(…)"),
        ({"$ref": "#/$defs/Loop"}, "tool()"),
        ({"properties": {}, "additionalProperties": False}, "tool()"),
    ],
)
def test_a_signature_claims_no_fewer_parameters_than_there_are(words: dict[str, Any], signature: str) -> None:
    string = {"type": "string"}
    definitions = {
        "A": {"properties": {"a": string}, "required": ["a"]},
        "B": {"properties": {"b": string}},
        "Loop": {"$ref": "#/$defs/Loop"},
    }
    assert signature_of("tool", json.dumps({"type": "object", "$defs": definitions, **words})) == signature


def test_a_long_signature_is_cut_between_parameters_and_says_so() -> None:
    text = schema([], **{f"parameter_{number}": {"type": "string"} for number in range(50)})
    assert signature_of("tool", text, 60) == "tool(parameter_0?: string, parameter_1?: string, …)"
    assert signature_of("tool", text, 12) == "tool(…)"


@given(name=st.text(min_size=1, max_size=200), value=JSON, characters=st.integers(20, 400))
def test_a_signature_fits_whatever_the_schema_is(name: str, value: Any, characters: int) -> None:
    for text in (json.dumps(value), schema(it=value, other=value)):
        signature = signature_of(name, text, characters)
        assert len(signature) <= characters
        assert signature.endswith(")")


def test_a_schema_loses_what_tells_a_model_nothing_and_keeps_what_binds() -> None:
    text = json.dumps(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "max_results": {"type": "integer", "title": "Max Results", "minimum": 1},
                "title": {"type": "string", "title": "Of the issue"},
                "$schema": {"type": "string"},
                "either": {"oneOf": [{"properties": {"a": {}}, "additionalProperties": False}, {"required": ["b"]}]},
                "rest": {"type": "object", "additionalProperties": {"type": "string", "title": "Rest"}},
            },
            "required": ["title"],
            "default": {"title": "title"},
        }
    )
    assert json.loads(compact_schema(text)) == {
        "type": "object",
        "properties": {
            "max_results": {"type": "integer", "minimum": 1},
            "title": {"type": "string", "title": "Of the issue"},
            "$schema": {"type": "string"},
            "either": {"oneOf": [{"properties": {"a": {}}, "additionalProperties": False}, {"required": ["b"]}]},
            "rest": {"type": "object", "additionalProperties": {"type": "string", "title": "Rest"}},
        },
        "required": ["title"],
        "default": {"title": "title"},
    }


@pytest.mark.parametrize("definitions", ["$defs", "definitions"])
def test_alternatives_stay_apart_wherever_they_are_written(definitions: str) -> None:
    nested = {"type": "object", "properties": {"it": {"properties": {"a": {}}, "additionalProperties": False}}}
    closed = {"type": "object", "properties": {"a": {}}, "additionalProperties": False}
    text = {
        "oneOf": [{"$ref": f"#/{definitions}/A"}, nested],
        definitions: {"A": closed},
        "dependentSchemas": {"a": closed},
    }
    assert json.loads(compact_schema(json.dumps(text))) == text


@pytest.mark.parametrize(
    "text", ['{"title": "\\ud800"}', '{"maximum": 1e400}', '{"default": 123456789012345678901234567890}']
)
def test_what_is_special_in_a_schema_stays_valid_json(text: str) -> None:
    compact = compact_schema(text)
    compact.encode()
    assert json.loads(compact) == json.loads(text)
    assert "Infinity" not in compact


@given(JSON)
def test_a_compact_schema_is_json_and_no_longer(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    compact = compact_schema(text)
    json.loads(compact)
    assert len(compact) <= len(text)


@given(st.text(max_size=2_000), st.integers(2, 300))
def test_a_text_is_shortened_to_so_many_characters_on_one_line(text: str, characters: int) -> None:
    short = shorten(text, characters)
    assert len(short) <= characters
    assert short == " ".join(short.split())
    if len(text) > 2 * characters:
        assert short.endswith("…")


def test_a_text_is_cut_between_words() -> None:
    assert shorten("one two three four", 12) == "one two…"
    assert shorten("one  two\nthree", 100) == "one two three"


@pytest.mark.parametrize(
    ("description", "summary"),
    [
        ("Adds numbers. Takes two.", "Adds numbers."),
        ("\n\n  Adds numbers\n\nArgs:\n  a: one", "Adds numbers"),
        ("数を足す。二つ取る。", "数を足す。"),
        ("", ""),
        ("   \n ", ""),
    ],
)
def test_a_summary_is_the_first_sentence(description: str, summary: str) -> None:
    assert summarize(description) == summary
