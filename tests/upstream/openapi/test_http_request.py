"""Calls of an HTTP API as requests: bodies of every kind, secrets where the API wants them, and odd answers."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from gateway.errors import InvalidInputError
from gateway.upstream.credentials.credential import Bearer
from gateway.upstream.openapi.document import parse_document
from gateway.upstream.openapi.http_request import OpenApiRequest, build_request
from gateway.upstream.openapi.operation import OpenApiOperation
from gateway.upstream.openapi.operation_reader import build_operations
from gateway.upstream.pool import UpstreamPool
from tests.doubles.http_api import DOCUMENT, HttpApi
from tests.upstream.conftest import serving
from tests.upstream.openapi.test_transport import call, pets

OK = {"200": {"description": "ok"}}
BINARY = base64.b64encode(b"\x00\xff").decode()


def operation(path: str = "/do", version: str = "3.0.3", **said: Any) -> OpenApiOperation:
    method = "post" if "requestBody" in said else "get"
    document = {
        "openapi": version,
        "info": {"title": "One", "version": "1"},
        "paths": {path: {method: {"operationId": "do", "responses": OK, **said}}},
    }
    return build_operations(parse_document("One", json.dumps(document))).tools["do"]


def body(media_type: str, schema: Any, version: str = "3.0.3", **more: Any) -> OpenApiOperation:
    return operation(version=version, requestBody={"content": {media_type: {"schema": schema, **more}}})


def asked(tool: OpenApiOperation, **arguments: Any) -> OpenApiRequest:
    return build_request(tool, arguments)


def form(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def test_lists_in_a_form_are_sent_one_by_one() -> None:
    tool = body("application/x-www-form-urlencoded", form(tag={"type": "array"}, on={"type": "boolean"}, n={}))
    request = asked(tool, tag=["a b", "c&d"], on=True, n=None)
    assert parse_qs((request.body or b"").decode()) == {"tag": ["a b", "c&d"], "on": ["true"]}
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


def test_objects_and_several_files_are_parts_of_their_own() -> None:
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    tool = body("multipart/form-data", form(files=files, about={"type": "object"}, tags={"type": "array"}))
    sent = asked(tool, files=[BINARY, BINARY], about={"a": 1}, tags=["x", "y"]).body or b""
    assert sent.count(b"\x00\xff") == 2
    assert b'Content-Type: application/json\r\n\r\n{"a": 1}' in sent
    assert sent.count(b'name="tags"') == 2


@pytest.mark.parametrize(
    ("version", "part"),
    [
        ("3.0.3", {"type": "string", "format": "binary"}),
        ("3.1.0", {"type": "string", "contentMediaType": "image/png"}),
        ("3.1.0", {"type": "string", "contentMediaType": "application/octet-stream"}),
    ],
)
def test_a_file_is_asked_for_in_base64_and_sent_as_it_is(version: str, part: dict[str, Any]) -> None:
    tool = body("multipart/form-data", form(file=part), version)
    told = tool.definition["inputSchema"]["properties"]["file"]
    assert told["contentEncoding"] == "base64"
    assert b"\x00\xff" in (asked(tool, file=BINARY).body or b"")
    with pytest.raises(InvalidInputError, match="base64"):
        asked(tool, file="not base64!")


@pytest.mark.parametrize(
    ("media_type", "schema"),
    [("application/octet-stream", {"type": "string", "format": "binary"}), ("image/png", {}), ("application/pdf", {})],
)
def test_a_body_that_is_a_file_is_taken_in_base64(media_type: str, schema: dict[str, Any]) -> None:
    tool = body(media_type, schema, "3.1.0")
    assert tool.definition["inputSchema"]["properties"]["body"]["contentEncoding"] == "base64"
    request = asked(tool, body=BINARY)
    assert request.body == b"\x00\xff"
    assert request.headers["content-type"] == media_type


def test_a_text_body_is_sent_as_text() -> None:
    request = asked(body("text/plain", {"type": "string"}), body="grüße")
    assert (request.body, request.headers["content-type"]) == ("grüße".encode(), "text/plain")


@pytest.mark.parametrize(
    ("media_type", "schema", "sent"),
    [
        ("*/*", {"properties": {"a": {"type": "string"}}}, "application/json"),
        ("application/*+json", {"type": "object", "properties": {"a": {"type": "string"}}}, "application/json"),
        ("*/*", {}, "application/octet-stream"),
        ("image/*", {}, "application/octet-stream"),
        ("text/*", {"type": "string"}, "text/plain"),
    ],
)
def test_a_range_of_media_types_is_sent_as_one_of_them(media_type: str, schema: dict[str, Any], sent: str) -> None:
    arguments = {"a": "x"} if "properties" in schema else {"body": BINARY}
    request = asked(body(media_type, schema), **arguments)
    assert request.headers["content-type"] == sent
    if arguments == {"a": "x"}:
        assert request.body == b'{"a": "x"}'


def test_a_body_in_xml_is_written_by_the_model() -> None:
    tool = body("application/xml", {"type": "object", "description": "A pet.", "properties": {"a": {"type": "string"}}})
    assert tool.definition["inputSchema"]["properties"]["body"] == {
        "type": "string",
        "description": "A pet. As application/xml.",
    }
    request = asked(tool, body="<pet/>")
    assert (request.body, request.headers["content-type"]) == (b"<pet/>", "application/xml")


def test_a_list_is_a_json_body_as_a_whole() -> None:
    assert asked(body("application/json", {"type": "array"}), body=[1, None]).body == b"[1, null]"


@pytest.mark.parametrize(
    ("declared", "value", "sent"),
    [
        ({"in": "query", "name": "a"}, [1, 2], "/do?a=1&a=2"),
        ({"in": "query", "name": "a", "explode": False}, [1, 2], "/do?a=1%2C2"),
        ({"in": "query", "name": "a", "style": "pipeDelimited"}, [1, 2], "/do?a=1%7C2"),
        ({"in": "query", "name": "a", "style": "spaceDelimited"}, [1, 2], "/do?a=1%202"),
        ({"in": "query", "name": "a", "style": "deepObject"}, {"b": 1}, "/do?a%5Bb%5D=1"),
        ({"in": "query", "name": "a", "content": {"application/json": {}}}, {"b": 1}, "/do?a=%7B%22b%22%3A%201%7D"),
        ({"in": "query", "name": "a"}, "x y&z=ü", "/do?a=x%20y%26z%3D%C3%BC"),
        ({"in": "query", "name": "a"}, None, "/do"),
        ({"in": "query", "name": "a"}, False, "/do?a=false"),
    ],
)
def test_a_parameter_is_written_as_its_style_says(declared: dict[str, Any], value: Any, sent: str) -> None:
    declared = declared if "content" in declared else {**declared, "schema": {}}
    assert asked(operation(parameters=[declared]), a=value).target == sent


@pytest.mark.parametrize(
    ("style", "explode", "sent"),
    [
        ("simple", False, "/do/1,2"),
        ("label", False, "/do/.1,2"),
        ("label", True, "/do/.1.2"),
        ("matrix", False, "/do/;a=1%2C2"),
        ("matrix", True, "/do/;a=1;a=2"),
    ],
)
def test_a_part_of_the_path_is_written_as_its_style_says(style: str, explode: bool, sent: str) -> None:
    declared = {"in": "path", "name": "a", "required": True, "style": style, "explode": explode, "schema": {}}
    assert asked(operation("/do/{a}", parameters=[declared]), a=[1, 2]).target == sent


def test_a_part_of_the_path_that_no_parameter_declares_is_an_argument_too() -> None:
    tool = operation("/do/{a}/{b}", parameters=[{"in": "path", "name": "a", "required": True, "schema": {}}])
    assert tool.definition["inputSchema"]["required"] == ["a", "b"]
    assert asked(tool, a="x", b="y/{a}").target == "/do/x/y%2F%7Ba%7D"
    with pytest.raises(InvalidInputError, match="'a' is missing"):
        asked(tool, a=None, b="y")


def test_yaml_is_read_as_of_version_1_2() -> None:
    text = """
openapi: 3.0.3
info: {title: Countries, version: 1.10}
paths:
  /a:
    get:
      operationId: a
      parameters:
        - {in: query, name: on, schema: {type: string, enum: [no, se, on, 12:30, true, trueish, 010]}}
      responses: {200: {description: ok}}
"""
    (tool,) = build_operations(parse_document("Countries", text)).tools.values()
    assert tool.definition["inputSchema"]["properties"]["on"]["enum"] == [
        "no",
        "se",
        "on",
        "12:30",
        True,
        "trueish",
        "010",
    ]


@pytest.fixture
def api() -> HttpApi:
    return HttpApi()


@pytest.fixture
async def base(api: HttpApi) -> AsyncIterator[str]:
    async with serving(api.app()) as url:
        yield url


@pytest.mark.parametrize("where", ["header", "query", "cookie"])
async def test_a_token_goes_where_the_document_says_that_keys_go(
    api: HttpApi, base: str, pool: UpstreamPool, where: str
) -> None:
    document = deepcopy(DOCUMENT)
    document["components"]["securitySchemes"] = {"key": {"type": "apiKey", "in": where, "name": "X-Key"}}
    # An API may declare its key as a parameter, too: it is not the model's to give.
    document["paths"]["/pets/{id}"]["get"]["parameters"].append({"in": where, "name": "X-Key", "schema": {}})
    api.document = document
    spec = pets(base, credential=Bearer("s3cret"))
    listed = {tool["name"]: tool for tool in await pool.list_all(spec, "tools/list", "tools")}
    assert "X-Key" not in listed["getPet"]["inputSchema"]["properties"]
    answer = await call(pool, spec, "getPet", id="1", tags=["a"], mood="glad")
    # The API repeats what it was asked.
    assert "s3cret" not in json.dumps(answer)
    sent = api.requests[-1]
    assert "authorization" not in sent["headers"]
    if where == "header":
        assert sent["headers"]["x-key"] == "s3cret"
    elif where == "query":
        assert sent["query"] == "tags=a&X-Key=s3cret"
    else:
        assert sent["headers"]["cookie"] == "mood=glad; X-Key=s3cret"


async def test_a_token_is_a_bearer_token_where_the_document_allows_that(
    api: HttpApi, base: str, pool: UpstreamPool
) -> None:
    schemes = {"key": {"type": "apiKey", "in": "query", "name": "k"}, "token": {"type": "http", "scheme": "Bearer"}}
    api.document = {**DOCUMENT, "components": {**DOCUMENT["components"], "securitySchemes": schemes}}
    await call(pool, pets(base, credential=Bearer("s3cret")), "getPet", id="1")
    sent = api.requests[-1]
    assert sent["headers"]["authorization"] == "Bearer s3cret"
    assert sent["query"] == ""


async def test_a_header_that_is_set_for_the_server_is_no_argument(api: HttpApi, base: str, pool: UpstreamPool) -> None:
    spec = pets(base, headers={"x-TRACE": "mine"})
    refused = await call(pool, spec, "getPet", **{"id": "1", "X-Trace": "yours"})
    assert refused["isError"] is True
    assert (await call(pool, spec, "getPet", id="1"))["structuredContent"]["headers"]["x-trace"] == "mine"


async def test_a_query_of_the_address_goes_with_every_request_and_is_not_shown(
    api: HttpApi, base: str, pool: UpstreamPool
) -> None:
    spec = pets(base, document=json.dumps(DOCUMENT), document_url=None, url=f"{base}/v2/?key=s3cret")
    sent = (await call(pool, spec, "getPet", id="1", id_query=7))["structuredContent"]
    assert (sent["path"], sent["query"]) == ("/v2/pets/1", "key=s3cret&id=7")


async def test_a_redirect_elsewhere_is_told_as_an_answer(api: HttpApi, base: str, pool: UpstreamPool) -> None:
    api.document = {**DOCUMENT, "paths": {"/away": {"get": {"operationId": "away", "responses": OK}}}}
    for _ in range(6):
        result = await call(pool, pets(base), "away")
    assert result["isError"] is True
    assert "redirects to https://files.example/a" in result["content"][0]["text"]
    assert "signature" not in result["content"][0]["text"]


async def test_an_answer_that_is_no_text_is_a_file_with_its_address(
    api: HttpApi, base: str, pool: UpstreamPool
) -> None:
    api.document = {**DOCUMENT, "paths": {"/zip": {"get": {"operationId": "zip", "responses": OK}}}}
    (block,) = (await call(pool, pets(base), "zip"))["content"]
    assert block["resource"] == {"uri": f"{base}/api/zip", "mimeType": "application/zip", "blob": "UEs="}


def ops(name: str) -> OpenApiOperation:
    text = (Path(__file__).parents[2] / "cases" / "ops.yaml").read_text()
    return build_operations(parse_document("Ops", text)).tools[name]


def test_renamed_arguments_are_sent_by_the_names_of_the_api() -> None:
    sent = {"StartTime_lt": "1", "StartTime_gt": "0", "filter_status": "open", "top": 5}
    expected = "/calls?StartTime%3C=1&StartTime%3E=0&filter%5Bstatus%5D=open&%24top=5"
    assert asked(ops("listCalls"), **sent).target == expected
    by_own_names = {"StartTime<": "1", "StartTime>": "0", "filter[status]": "open", "$top": 5}
    assert asked(ops("listCalls"), **by_own_names).target == expected


@pytest.mark.parametrize("name", ["setLabels", "setLabels2"])
@pytest.mark.parametrize("arguments", [{"body": {"a": "1"}}, {"a": "1"}])
def test_free_entries_are_the_body(name: str, arguments: dict[str, Any]) -> None:
    assert json.loads(asked(ops(name), **arguments).body or b"") == {"a": "1"}


def test_entries_beyond_the_declared_ones_go_into_a_body_that_takes_them() -> None:
    assert json.loads(asked(ops("createIssue"), summary="s", custom_1=[2]).body or b"") == {
        "summary": "s",
        "custom_1": [2],
    }
    with pytest.raises(InvalidInputError, match="'summary' is missing"):
        asked(ops("createIssue"), custom_1=1)
    with pytest.raises(InvalidInputError, match="no argument 'more'"):
        asked(ops("updateDevice"), id=1, id_body=1, name="n", more=1)


def test_a_required_body_is_sent_even_if_it_is_empty() -> None:
    declared = {"required": True, "content": {"application/json": {"schema": form(a={})}}}
    assert asked(operation(requestBody=declared)).body == b"{}"
    assert asked(body("application/json", form(a={}))).body is None


def test_a_part_of_a_path_that_comes_twice_is_filled_in_twice() -> None:
    assert asked(ops("deviceList"), tenant="a/{b}").target == "/a%2F%7Bb%7D/a%2F%7Bb%7D/device/"


@pytest.mark.parametrize(
    ("path", "target"),
    [("/do?action=list", "/do?action=list&n=1"), ("/#Target=Do", "/?n=1"), ("/do", "/do?n=1")],
)
def test_a_path_may_carry_a_part_of_the_query(path: str, target: str) -> None:
    tool = operation(path, parameters=[{"name": "n", "in": "query", "schema": {}}])
    assert asked(tool, n=1).target == target


@pytest.mark.parametrize(
    ("value", "query"),
    [
        ({"id": "1", "type": "x"}, "filters[id]=1&filters[type]=x"),
        ({"a": {"b": {"c": 1}}}, "filters[a][b][c]=1"),
        ({"ids": [1, 2]}, "filters[ids][]=1&filters[ids][]=2"),
        ({"or": [{"a": 1}, {"b": [True]}]}, "filters[or][0][a]=1&filters[or][1][b][]=true"),
        ({"a": None, "b": {}, "c": []}, "filters[a]="),
        ("plain", "filters=plain"),
    ],
)
def test_objects_in_a_query_are_spelled_out_as_servers_read_them(value: Any, query: str) -> None:
    assert unquote(asked(ops("proposals"), filters=value).target) == f"/proposals?{query}"


def test_objects_in_a_form_are_spelled_out_where_the_document_says_so() -> None:
    tool = body(
        "application/x-www-form-urlencoded",
        form(metadata={"type": "object"}, plain={"type": "object"}),
        encoding={"metadata": {"style": "deepObject", "explode": True}},
    )
    sent = unquote((asked(tool, metadata={"a": {"b": 1}}, plain={"a": 1}).body or b"").decode())
    assert sent == 'metadata[a][b]=1&plain={"a":+1}'
