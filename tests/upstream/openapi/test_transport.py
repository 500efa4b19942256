"""HTTP APIs as servers: their documents become tools, calls become requests."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from copy import deepcopy
from typing import Any
from urllib.parse import unquote

import anyio
import pytest

from gateway.errors import InvalidInputError, UpstreamProtocolError, UpstreamUnavailableError
from gateway.settings import UpstreamSettings
from gateway.upstream.credentials.credential import Bearer
from gateway.upstream.openapi.document import parse_document
from gateway.upstream.openapi.operation_reader import build_operations
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.spec import ServerSpec
from tests.doubles.http_api import DOCUMENT, HttpApi
from tests.upstream.conftest import raw, serving


@pytest.fixture
def api() -> HttpApi:
    return HttpApi()


@pytest.fixture
async def base(api: HttpApi) -> AsyncIterator[str]:
    async with serving(api.app()) as url:
        yield url


def pets(base: str, **changes: Any) -> ServerSpec:
    values = {"transport": "openapi", "command": None, "args": (), "name": "Pets", "slug": "pets"}
    return raw(**{**values, "document_url": f"{base}/openapi.json", **changes})


async def call(pool: UpstreamPool, spec: ServerSpec, tool: str, /, **arguments: Any) -> dict[str, Any]:
    return await pool.request(spec, UpstreamRequest("tools/call", {"name": tool, "arguments": arguments}))


def tools() -> dict[str, Any]:
    document = parse_document("Pets", json.dumps(DOCUMENT))
    return {name: operation.definition for name, operation in build_operations(document).tools.items()}


def test_every_operation_is_a_tool() -> None:
    assert list(tools()) == ["getPet", "put_pet", "post_upload", "text", "image", "broken", "huge"]
    pet = tools()["getPet"]
    assert pet["title"] == "One pet"
    assert pet["description"] == "One pet\n\nA pet by its id."
    assert pet["annotations"]["readOnlyHint"] is True


def test_parameters_that_share_a_name_are_told_apart() -> None:
    schema = tools()["getPet"]["inputSchema"]
    assert list(schema["properties"]) == ["id", "id_query", "tags", "near", "X-Trace", "mood"]
    assert schema["required"] == ["id"]
    assert schema["properties"]["id_query"] == {"type": "integer", "description": "An old id."}


def test_schemas_stand_by_themselves_in_the_words_of_json_schema() -> None:
    schema = tools()["put_pet"]["inputSchema"]
    assert schema["properties"]["name"] == {"type": ["string", "null"]}
    assert schema["properties"]["parent"] == {"$ref": "#/$defs/Pet"}
    assert schema["properties"]["age"] == {"type": "integer", "exclusiveMinimum": 0}
    assert schema["$defs"]["Pet"]["properties"]["parent"] == {"$ref": "#/$defs/Pet"}
    assert schema["required"] == ["id", "name"]


def test_a_yaml_document_is_read_and_dates_in_it_stay_text() -> None:
    text = """
openapi: 3.1.0
info: {title: Dates, version: 2024-01-31}
paths:
  /a:
    get: {operationId: a, responses: {}}
"""
    document = parse_document("Dates", text)
    assert document.values["info"]["version"] == "2024-01-31"
    assert list(build_operations(document).tools) == ["a"]


def test_what_is_named_once_in_a_yaml_document_stands_wherever_it_is_meant() -> None:
    text = """
openapi: 3.1.0
info: {title: Aliases, version: "1"}
x-paging: &paging
  - {name: limit, in: query, schema: &count {type: integer}}
x-defaults: &defaults {parameters: *paging, responses: {}}
paths:
  /a:
    get: {operationId: a, parameters: *paging, responses: {}}
  /b:
    get: {<<: *defaults, operationId: b}
  /c:
    post:
      operationId: c
      requestBody: {content: {application/json: {schema: {type: object, properties: {first: *count, last: *count}}}}}
      responses: {}
"""
    operations = build_operations(parse_document("Aliases", text))
    found = {name: each.definition["inputSchema"] for name, each in operations.tools.items()}
    assert found["a"]["properties"] == found["b"]["properties"] == {"limit": {"type": "integer"}}
    assert found["c"]["properties"] == {"first": {"type": "integer"}, "last": {"type": "integer"}}


def _laughs(first: str, line: str) -> str:
    """A few lines, each of which stands nine times for the one before."""
    return "\n".join(
        [f"a0: &a0 {first}", *(f"a{n}: &a{n} {line % ', '.join([f'*a{n - 1}'] * 9)}" for n in range(1, 60))]
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [&b {c: *a}]\n", r"has an alias within what it stands for, in line 2; use \$ref"),
        ("a: &a\n  <<: *a\n", "has an alias within what it stands for"),
        (_laughs("[lol]", "[%s]"), "over 16,777,216 bytes with its aliases written out; use"),
        (_laughs("{b: 1}", "{<<: [%s]}"), "over 16,777,216 bytes with its aliases written out; use"),
        (f"a: &a {'x' * 60_000}\nb: [{', '.join(['*a'] * 300)}]", "over 16,777,216 bytes with its aliases written out"),
    ],
)
def test_aliases_that_stand_for_endlessly_much_are_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        parse_document("Pets", f"openapi: 3.1.0\n{text}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "neither JSON nor YAML"),
        ("[1, 2]", "not an OpenAPI document"),
        ('{"swagger": "2.0"}', "is Swagger 2.0.*convert it"),
        ('{"openapi": "4.0.0"}', "of version 4.0.0"),
        ('{"openapi": "3.0.0", "paths": [1]}', "paths that are not an object"),
    ],
)
def test_a_document_that_cannot_be_read_is_named(text: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        parse_document("Pets", text)


@pytest.mark.parametrize("reference", ["https://evil.example/schema.json", "other.json#/a", "#/components/none"])
def test_references_lead_nowhere_else(reference: str) -> None:
    document = deepcopy(DOCUMENT)
    document["components"]["schemas"]["Pet"]["properties"]["parent"] = {"$ref": reference}
    operations = build_operations(parse_document("Pets", json.dumps(document)))
    assert "put_pet" not in operations.tools
    (left_out,) = operations.left_out
    assert left_out.name == "put_pet"
    assert f"refers to {reference!r}" in left_out.reason


async def test_a_listing_comes_from_the_document_and_follows_it(api: HttpApi, base: str, pool: UpstreamPool) -> None:
    spec = pets(base)
    assert len(await pool.list_all(spec, "tools/list", "tools")) == 7
    api.document = {**DOCUMENT, "paths": {"/text": DOCUMENT["paths"]["/text"]}}
    assert [tool["name"] for tool in await pool.list_all(spec, "tools/list", "tools")] == ["text"]
    info = pool.session_info(spec)
    assert info is not None
    assert (info.server_info, info.instructions) == ({"name": "Pets", "version": "1.2"}, "All about pets.")


async def test_arguments_go_where_the_document_says(base: str, pool: UpstreamPool) -> None:
    result = await call(
        pool,
        pets(base),
        "getPet",
        **{"id": "a/b c", "id_query": 7, "tags": ["x", "y&z"], "near": {"lat": 1.5}, "X-Trace": "t", "mood": "glad"},
    )
    asked = result["structuredContent"]
    assert json.loads(result["content"][0]["text"]) == asked
    assert asked["path"] == "/api/pets/a%2Fb%20c"
    assert unquote(asked["query"]) == "id=7&tags=x&tags=y&z&near[lat]=1.5"
    assert asked["headers"]["x-trace"] == "t"
    assert asked["headers"]["cookie"] == "mood=glad"


async def test_a_json_body_is_made_of_arguments(base: str, pool: UpstreamPool) -> None:
    result = await call(pool, pets(base), "put_pet", id="1", name="Rex", age=3)
    asked = result["structuredContent"]
    assert (asked["method"], json.loads(asked["body"])) == ("PUT", {"name": "Rex", "age": 3})
    assert asked["headers"]["content-type"] == "application/json"


async def test_files_are_sent_as_parts(base: str, pool: UpstreamPool) -> None:
    content = base64.b64encode(b"\x00\x01binary").decode()
    asked = (await call(pool, pets(base), "post_upload", note="hi", file=content))["structuredContent"]
    assert asked["headers"]["content-type"].startswith("multipart/form-data; boundary=")
    assert "\x00\x01binary" in asked["body"]
    assert 'name="note"' in asked["body"]


async def test_a_secret_is_sent_and_cannot_be_replaced_by_an_argument(
    api: HttpApi, base: str, pool: UpstreamPool
) -> None:
    spec = pets(base, credential=Bearer("t0ken"))
    await call(pool, spec, "getPet", id="1")
    assert api.requests[-1]["headers"]["authorization"] == "Bearer t0ken"
    refused = await call(pool, spec, "getPet", id="1", Authorization="Bearer mine")
    assert refused["isError"] is True
    assert "There is no argument 'Authorization'" in refused["content"][0]["text"]


async def test_secrets_follow_no_document_to_another_host(api: HttpApi, base: str, pool: UpstreamPool) -> None:
    api.document = {**DOCUMENT, "servers": [{"url": "https://evil.example"}]}
    with pytest.raises(UpstreamUnavailableError, match="not where the document is"):
        await pool.list_all(pets(base, credential=Bearer("t0ken")), "tools/list", "tools")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({}, "'id' is missing"), ({"id": ".."}, "may not be empty, . or .."), ({"id": ""}, "may not be empty")],
)
async def test_arguments_that_cannot_be_are_named(
    base: str, pool: UpstreamPool, arguments: dict[str, Any], said: str
) -> None:
    result = await call(pool, pets(base), "getPet", **arguments)
    assert result["isError"] is True
    assert said in result["content"][0]["text"]


async def test_answers_keep_their_kind(base: str, pool: UpstreamPool) -> None:
    spec = pets(base)
    assert (await call(pool, spec, "text"))["content"] == [{"type": "text", "text": "plain words"}]
    image = {"type": "image", "data": base64.b64encode(b"\x89PNG").decode(), "mimeType": "image/png"}
    assert (await call(pool, spec, "image"))["content"] == [image]
    broken = await call(pool, spec, "broken")
    assert broken["isError"] is True
    assert broken["content"][0]["text"] == 'HTTP 503 Service Unavailable\n{"detail":"it broke"}'


async def test_an_answer_that_is_too_large_is_an_error(base: str) -> None:
    async with UpstreamPool(UpstreamSettings(max_message_bytes=100_000)) as pool:
        with pytest.raises(UpstreamProtocolError, match="over 100,000 bytes"):
            await call(pool, pets(base), "huge")


async def test_an_address_set_by_hand_goes_before_the_document(base: str, pool: UpstreamPool) -> None:
    spec = pets(base, document=json.dumps(DOCUMENT), document_url=None, url=f"{base}/v2/")
    assert (await call(pool, spec, "getPet", id="1"))["structuredContent"]["path"] == "/v2/pets/1"


async def test_a_document_without_an_address_asks_for_one(pool: UpstreamPool) -> None:
    spec = pets("", document=json.dumps(DOCUMENT), document_url=None)
    with pytest.raises(UpstreamUnavailableError, match="set its address by hand"):
        await call(pool, spec, "getPet", id="1")


async def test_calls_at_the_same_time_do_not_wait_for_each_other(base: str, pool: UpstreamPool) -> None:
    answers: list[dict[str, Any]] = []

    async def one(number: int) -> None:
        answers.append(await call(pool, pets(base), "getPet", id=str(number)))

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(one, number)
    assert sorted(answer["structuredContent"]["path"] for answer in answers) == [f"/api/pets/{n}" for n in range(10)]
