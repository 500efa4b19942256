"""The embedder for other programs, over a socket."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import Any

import httpx2
import numpy as np
import pytest

from gateway.access.caller import Limits
from gateway.components import open_components
from gateway.settings import EmbedderSettings, Settings
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.embedding import embed_documents
from tests.support.gateway import RunningGateway, running_gateway


async def key_with_right(gateway: RunningGateway, limits: Limits | None = None) -> dict[str, str]:
    """The headers of a key that may have texts embedded."""
    made = await gateway.parts.keys.create(1, "connector", ["all"], limits=limits, rights=["embed"])
    return {"Authorization": f"Bearer {made.key}"}


async def model_name(gateway: RunningGateway, headers: dict[str, str]) -> str:
    listed = (await gateway.http.get("/v1/models", headers=headers)).json()
    return str(listed["data"][0]["id"])


async def embed(gateway: RunningGateway, headers: dict[str, str], **body: Any) -> httpx2.Response:
    body = {"model": await model_name(gateway, headers), **body}
    return await gateway.http.post("/v1/embeddings", json=body, headers=headers)


async def test_a_text_and_a_list_of_texts_are_embedded_in_order_as_the_catalogue_is(gateway: RunningGateway) -> None:
    headers = await key_with_right(gateway)
    texts = ["read a file", "send a mail", "read a file"]
    answer = (await embed(gateway, headers, input=texts)).json()
    assert (answer["object"], [each["index"] for each in answer["data"]]) == ("list", [0, 1, 2])
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 0
    expected = await embed_documents(gateway.parts.spaces, texts)
    assert np.allclose([each["embedding"] for each in answer["data"]], expected, atol=1e-5)
    single = (await embed(gateway, headers, input="send a mail")).json()
    assert np.allclose(single["data"][0]["embedding"], expected[1], atol=1e-5)


async def test_base64_holds_the_same_numbers(gateway: RunningGateway) -> None:
    headers = await key_with_right(gateway)
    plain = (await embed(gateway, headers, input="send a mail")).json()["data"][0]["embedding"]
    packed = (await embed(gateway, headers, input="send a mail", encoding_format="base64")).json()["data"][0]
    assert np.array_equal(np.frombuffer(base64.b64decode(packed["embedding"]), "<f4"), np.float32(plain))


async def test_numbers_are_written_with_as_few_digits_as_they_need(gateway: RunningGateway) -> None:
    headers = await key_with_right(gateway)
    answer = (await embed(gateway, headers, input="send a mail")).text
    numbers = re.findall(
        r"-?\d[\d.eE+-]*", answer[answer.index("[", answer.index('"embedding":[')) : answer.index("]")]
    )
    assert len(numbers) == (await gateway.parts.spaces.active_space()).space.dimensions
    # A float32 never takes more than nine; a reader that makes other numbers of long ones has none to trip over.
    assert max(len(re.sub(r"[-.]|[eE].*", "", number).lstrip("0")) for number in numbers) <= 9


async def test_the_models_are_listed_and_had_by_name(gateway: RunningGateway) -> None:
    headers = await key_with_right(gateway)
    space = (await gateway.parts.spaces.active_space()).space
    listed = (await gateway.http.get("/v1/models", headers=headers)).json()
    assert [(each["id"], each["object"], each["owned_by"]) for each in listed["data"]] == [
        (space.model, "model", space.provider)
    ]
    one = await gateway.http.get(f"/v1/models/{space.model}", headers=headers)
    assert one.json() == listed["data"][0]
    assert (await gateway.http.get("/v1/models/other", headers=headers)).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "other", "input": "a"}, 404, "model"),
        ({"model": 1, "input": "a"}, 400, "model"),
        ({}, 400, "input"),
        ({"input": []}, 400, "input"),
        ({"input": [1, 2, 3]}, 400, "input"),
        ({"input": ["a", [1]]}, 400, "input"),
        ({"input": ["a"] * 257}, 400, "input"),
        ({"input": "a", "input_type": "passage"}, 400, "input_type"),
        ({"input": "a", "input_type": ["query"]}, 400, "input_type"),
        ({"input": "a", "encoding_format": "int8"}, 400, "encoding_format"),
        ({"input": "a", "dimensions": True}, 400, "dimensions"),
        ({"input": "a", "dimensions": 3}, 400, "dimensions"),
    ],
)
async def test_what_cannot_be_is_told_at_its_member(
    gateway: RunningGateway, body: dict[str, Any], status: int, param: str
) -> None:
    response = await embed(gateway, await key_with_right(gateway), **body)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (status, "invalid_request_error", param)


async def test_as_many_inputs_as_are_allowed_and_odd_ones_are_taken(gateway: RunningGateway) -> None:
    headers = await key_with_right(gateway)
    response = await embed(gateway, headers, input=["", "\x00", *["a"] * 254], user="somebody")
    vectors = np.array([each["embedding"] for each in response.json()["data"]])
    assert vectors.shape[0] == 256
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    surrogate = b'{"model": "%s", "input": "\\ud800"}' % (await model_name(gateway, headers)).encode()
    assert (await gateway.http.post("/v1/embeddings", content=surrogate, headers=headers)).status_code == 200


async def test_a_body_that_is_no_json_or_too_large_is_refused(gateway: RunningGateway) -> None:
    headers = await key_with_right(gateway)
    for body, status in ((b"{", 400), (b"[]", 400), (b" " * (gateway.parts.settings.server.max_body_bytes + 1), 413)):
        response = await gateway.http.post("/v1/embeddings", content=body, headers=headers)
        assert (response.status_code, response.json()["error"]["type"]) == (status, "invalid_request_error")


async def test_only_a_key_with_the_right_is_let_in(gateway: RunningGateway) -> None:
    body = {"model": "any", "input": "a"}
    for headers, status, code in (
        ({}, 401, "invalid_api_key"),
        ({"X-API-Key": "mg_" + "0" * 64}, 401, "invalid_api_key"),
        ({"X-API-Key": gateway.key}, 403, "insufficient_permissions"),
    ):
        for response in (
            await gateway.http.post("/v1/embeddings", json=body, headers=headers),
            await gateway.http.get("/v1/models", headers=headers),
            await gateway.http.get("/v1/models/any", headers=headers),
        ):
            assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_a_page_of_another_site_is_refused(gateway: RunningGateway) -> None:
    headers = {**await key_with_right(gateway), "Origin": "https://evil.example"}
    assert (await gateway.http.get("/v1/models", headers=headers)).status_code == 403


async def test_the_limits_of_a_key_hold(gateway: RunningGateway) -> None:
    headers = await key_with_right(gateway, Limits(calls_per_day=1))
    assert (await embed(gateway, headers, input="a")).status_code == 200
    spent = await embed(gateway, headers, input="a")
    assert (spent.status_code, spent.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(spent.headers["Retry-After"]) > 0
    headers = await key_with_right(gateway, Limits(requests_per_minute=1))
    assert (await gateway.http.get("/v1/models", headers=headers)).status_code == 200
    assert (await gateway.http.get("/v1/models", headers=headers)).status_code == 429


async def test_requests_are_among_the_metrics_and_no_text_of_them(gateway: RunningGateway) -> None:
    headers = await key_with_right(gateway)
    await embed(gateway, headers, input=["a very private text", "another"])
    await embed(gateway, headers, input=[])
    text = (await gateway.http.get("/metrics")).text
    assert 'modelgate_embeddings_request_seconds_count{status="200"} 1.0' in text
    assert 'modelgate_embeddings_request_seconds_count{status="400"} 1.0' in text
    assert "modelgate_embeddings_inputs_total 2.0" in text
    assert "private" not in text


async def test_queries_have_their_prefix_and_are_asked_for_once_and_an_outage_is_told(settings: Settings) -> None:
    with EmbeddingServer() as server:
        embedder = EmbedderSettings(type="ollama", base_url=server.url, standby=False)
        async with open_components(replace(settings, embedder=embedder)) as parts, running_gateway(parts) as gateway:
            headers = await key_with_right(gateway)
            query = await embed(gateway, headers, input="send a mail", input_type="query")
            again = await embed(gateway, headers, input="send a mail", input_type="query")
            assert query.json()["data"] == again.json()["data"]
            assert server.texts.count("search_query: send a mail") == 1
            await embed(gateway, headers, input=["send a mail", "send a mail"])
            assert server.texts.count("search_document: send a mail") == 1
            server.stop()
            down = await embed(gateway, headers, input="something else")
            assert (down.status_code, down.json()["error"]["type"]) == (503, "server_error")
            assert down.headers["Retry-After"]
