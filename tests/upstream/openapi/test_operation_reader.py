"""Operations of a document, each judged by itself: a flaw costs the one that has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.upstream.openapi.document import parse_document
from gateway.upstream.openapi.operation import OpenApiOperations
from gateway.upstream.openapi.operation_reader import build_operations

CASES = Path(__file__).parents[2] / "cases"
OK = {"200": {"description": "ok"}}
GOOD = {"get": {"operationId": "good", "responses": OK}}


def case(name: str) -> OpenApiOperations:
    return build_operations(parse_document(name, (CASES / f"{name}.yaml").read_text()))


def with_operation(operation: Any, path: str = "/bad", **document: Any) -> OpenApiOperations:
    paths = {"/good": GOOD, path: {"post": operation}}
    return build_operations(parse_document("One", json.dumps({"openapi": "3.0.3", "paths": paths, **document})))


def parameter(**said: Any) -> dict[str, Any]:
    return {"operationId": "bad", "parameters": [said]}


def body(schema: Any) -> dict[str, Any]:
    return {"operationId": "bad", "requestBody": {"content": {"application/json": {"schema": schema}}}}


def schema_of(operations: OpenApiOperations, name: str = "bad") -> Any:
    return operations.tools[name].definition["inputSchema"]


FLAWS: list[tuple[Any, str]] = [
    ("text", "which is not an object"),
    ([], "which is not an object"),
    ({"operationId": "bad", "parameters": {"name": "a"}}, "which is not a list"),
    ({"operationId": "bad", "parameters": [None]}, "a parameter has no name"),
    ({"operationId": "bad", "parameters": ["a"]}, "which is not an object"),
    ({"operationId": "bad", "parameters": [{"$ref": "#/components/parameters/none"}]}, "refers to"),
    ({"operationId": "bad", "parameters": [{"$ref": "#"}]}, "refers to '#'"),
    (parameter(**{"in": "query"}), "has no name"),
    (parameter(name="a"), "a is in None"),
    (parameter(**{"name": "a", "in": "body", "schema": {}}), "a is in body"),
    (parameter(**{"name": "X Y", "in": "header"}), "not the name of a header"),
    (parameter(**{"name": "a", "in": "query", "schema": "string"}), "the argument a: a schema is 'string'"),
    (parameter(**{"name": "a", "in": "query", "schema": {"type": "int"}}), "a schema has type 'int'"),
    (parameter(**{"name": "a", "in": "query", "schema": {"type": []}}), "a schema has type []"),
    (parameter(**{"name": "a", "in": "query", "schema": {"enum": "x"}}), "a schema has enum 'x'"),
    (parameter(**{"name": "a", "in": "query", "schema": {"minimum": "0"}}), "a schema has minimum '0'"),
    (parameter(**{"name": "a", "in": "query", "schema": {"maxLength": -1}}), "a schema has maxLength -1"),
    (parameter(**{"name": "a", "in": "query", "schema": {"items": "string"}}), "a schema is 'string'"),
    (parameter(**{"name": "a", "in": "query", "schema": {"$ref": 5}}), "a schema has $ref 5"),
    (parameter(**{"name": "a", "in": "query", "content": ["x"]}), "the content of the parameter a"),
    ({"operationId": "bad", "requestBody": "x"}, "the request body is 'x'"),
    ({"operationId": "bad", "requestBody": {"$ref": "#/components/requestBodies/none"}}, "refers to"),
    ({"operationId": "bad", "requestBody": {"content": ["x"]}}, "the content of the request body"),
    ({"operationId": "bad", "requestBody": {"content": {"application/json": 5}}}, "the content application/json is 5"),
    (body({"$ref": "#/components/schemas/Nowhere"}), "'#/components/schemas/Nowhere'"),
    (body({"$ref": "other.yaml#/Pet"}), "no place in it"),
    (body({"type": "object", "properties": ["a"]}), "a schema has properties ['a']"),
    (body({"type": "object", "properties": {"a": 5}}), "the argument a: a schema is 5"),
    (body({"type": "object", "properties": {"a": {}}, "required": "a"}), "a schema has required 'a'"),
    (body({"allOf": {"type": "object"}}), "a schema has allOf"),
    (body({"anyOf": []}), "a schema has anyOf []"),
    (body({"$ref": "#/components/schemas/Circle"}), "leads in a circle"),
    (body({"type": "object", "properties": {"a": {"$ref": "#/components/schemas/Circle"}}}), "leads in a circle"),
    ({"operationId": "bad", "servers": "http://x"}, "its servers do not begin"),
    ({"operationId": "bad", "servers": [{"url": 5}]}, "its servers do not begin"),
]


@pytest.mark.parametrize(("operation", "reason"), FLAWS)
def test_an_operation_that_cannot_be_a_tool_is_left_out_with_its_reason(operation: Any, reason: str) -> None:
    circle = {"schemas": {"Circle": {"$ref": "#/components/schemas/Circle"}}}
    operations = with_operation(operation, components=circle)
    assert list(operations.tools) == ["good"]
    (left_out,) = operations.left_out
    assert left_out.name in ("bad", "post_bad")
    assert reason in left_out.reason


HARMLESS: list[dict[str, Any]] = [
    {"responses": None},
    {"responses": {"200": {"$ref": "#/nowhere"}}},
    {"parameters": None},
    {"requestBody": None},
    {"requestBody": {"content": {}}},
    {"tags": "x", "security": 5, "deprecated": "no", "summary": 5, "callbacks": [], "externalDocs": 1},
    {"servers": []},
    {"servers": None},
    {"parameters": [{"name": "id", "in": "path", "required": True, "schema": {}}]},
    parameter(name="a", schema=None, required="yes", style=5, explode="no", description=5, **{"in": "query"}),
]


@pytest.mark.parametrize("said", HARMLESS)
def test_what_no_call_depends_on_costs_nothing(said: dict[str, Any]) -> None:
    operations = with_operation({"operationId": "bad", **said})
    assert list(operations.tools) == ["good", "bad"]
    assert operations.left_out == ()


@pytest.mark.parametrize(
    ("schema", "mended"),
    [
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"type": "object", "properties": None}, {"type": "object"}),
        ({"type": "string", "required": True, "description": 5, "title": None}, {"type": "string"}),
        (
            {"type": "array", "items": [{"type": "string"}]},
            {"type": "array", "prefixItems": [{"type": "string"}]},
        ),
        ({"type": "integer", "maximum": 9, "exclusiveMaximum": True}, {"type": "integer", "exclusiveMaximum": 9}),
        ({"$id": "x", "$schema": "y", "type": "string"}, {"type": "string"}),
        ({"x-order": 5, "example": None, "xml": {}}, {"x-order": 5, "example": None}),
        (True, {}),
        (None, {}),
    ],
)
def test_schemas_in_the_words_of_other_versions_are_mended(schema: Any, mended: Any) -> None:
    operations = with_operation(body({"type": "object", "properties": {"a": schema}}))
    assert schema_of(operations)["properties"]["a"] == mended


@pytest.mark.parametrize("path", ["bad", "@evil.example/bad", ".evil.example"])
def test_a_path_that_would_change_the_host_is_left_out(path: str) -> None:
    operations = with_operation({"operationId": "bad"}, path)
    assert [each.reason for each in operations.left_out] == ["its path does not begin with a slash"]


def test_a_path_item_that_leads_nowhere_costs_its_path_alone() -> None:
    paths = {"/good": GOOD, "/bad": {"$ref": "paths.yaml#/bad"}, "/worse": [], "x-more": 5}
    operations = build_operations(parse_document("One", json.dumps({"openapi": "3.1.0", "paths": paths})))
    assert list(operations.tools) == ["good"]
    assert [each.name for each in operations.left_out] == ["/bad", "/worse"]


def test_documents_with_one_bad_part_keep_the_others() -> None:
    assert list(case("one-bad").tools) == ["good", "bad"]
    bad_ref = case("bad-ref")
    assert list(bad_ref.tools) == ["good"]
    (left_out,) = bad_ref.left_out
    assert (left_out.name, "'#/components/schemas/Nowhere'" in left_out.reason) == ("bad", True)


def test_arguments_have_names_that_models_can_be_given() -> None:
    operations = case("ops")
    assert operations.left_out == ()
    properties = schema_of(operations, "listCalls")["properties"]
    assert list(properties) == ["StartTime_lt", "StartTime_gt", "filter_status", "top"]
    assert properties["filter_status"] == {"type": "string", "description": "Sent as `filter[status]`."}


def test_names_that_become_alike_or_are_too_long_are_told_apart() -> None:
    names = ["a[]", "a{}", "a", "名", "$" * 80, "x" * 80, "x" * 90]
    operations = with_operation(
        {"operationId": "bad", "parameters": [{"name": name, "in": "query", "schema": {}} for name in names]}
    )
    properties = list(schema_of(operations)["properties"])
    assert properties == ["a", "a_query", "a_query_2", "argument", "query", "x" * 64, "x" * 62 + "_2"]
    assert [each.name for each in operations.tools["bad"].parameters] == names


def test_a_body_of_free_entries_is_one_argument_and_one_with_names_takes_more_beside_them() -> None:
    operations = case("ops")
    for name in ("setLabels", "setLabels2"):
        schema = schema_of(operations, name)
        assert schema["properties"]["body"]["additionalProperties"] == {"type": "string"}
        assert schema["required"] == ["body"]
        assert schema["additionalProperties"] is False
    issue = schema_of(operations, "createIssue")
    assert (list(issue["properties"]), issue["additionalProperties"]) == (["summary"], True)


def test_a_body_that_is_an_empty_object_takes_no_argument() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    assert schema_of(with_operation(body(schema)))["properties"] == {}
    assert list(schema_of(with_operation(body({"type": "object", "properties": {}})))["properties"]) == ["body"]
