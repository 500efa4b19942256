"""Language models that rank, by Ollama's wire and by OpenAI's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from gateway.errors import RerankError
from gateway.search.rerank.http_client import RerankHttpClient
from gateway.search.rerank.language_model import LanguageModelReranker, routes_of
from tests.doubles.ranking_server import MODEL, Fault, Kind
from tests.search.rerank.conftest import TEXTS, Serve

Ranker = Callable[..., LanguageModelReranker]


@pytest.fixture
async def ranker() -> AsyncIterator[Ranker]:
    async with AsyncExitStack() as stack:

        def make(base_url: str, model: str = MODEL, api_key: str = "") -> LanguageModelReranker:
            base_url, routes = routes_of(base_url)
            client = RerankHttpClient(base_url, name="The reranking model", api_key=api_key)
            stack.push_async_callback(client.aclose)
            return LanguageModelReranker(client, model, routes)

        yield make


@pytest.mark.parametrize(
    ("kind", "suffix", "paths"),
    [
        ("ollama", "", ["/api/generate"] * 2),
        ("ollama", "/api/", ["/api/generate"] * 2),
        ("ollama", "/v1", ["/v1/chat/completions"] * 2),
        ("openai", "", ["/api/generate", "/v1/chat/completions", "/v1/chat/completions"]),
        ("openai", "/v1/", ["/v1/chat/completions"] * 2),
        ("openai", "/v1/chat/completions", ["/v1/chat/completions"] * 2),
    ],
)
async def test_both_kinds_of_server_rank_and_are_told_apart_by_what_answers(
    serve: Serve, ranker: Ranker, kind: Kind, suffix: str, paths: list[str]
) -> None:
    server = await serve(kind, api_key="sk-1")
    reranker = ranker(server.url + suffix, api_key="sk-1")
    for query, best in (("mail a file to Bob", [3, 0]), ("weather of Rome", [2, 1])):
        assert (await reranker.rank(query, TEXTS))[:2] == best
    assert [request.path for request in server.requests] == paths


async def test_ollama_is_asked_for_a_short_certain_answer_in_that_form(serve: Serve, ranker: Ranker) -> None:
    server = await serve("ollama")
    await ranker(server.url).rank("weather", TEXTS)
    body = server.requests[0].body
    assert body["options"]["temperature"] == 0
    assert 0 < body["options"]["num_predict"] < 200
    assert body["format"]["required"] == ["ranking"]
    assert (body["stream"], body["think"]) == (False, False)


async def test_openai_is_asked_for_a_short_certain_answer_in_that_form(serve: Serve, ranker: Ranker) -> None:
    server = await serve("openai")
    await ranker(f"{server.url}/v1").rank("weather", TEXTS)
    body = server.requests[0].body
    assert body["temperature"] == 0
    assert 0 < body["max_tokens"] < 200
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["ranking"]


@pytest.mark.parametrize("kind", ["ollama", "openai"])
@pytest.mark.parametrize(
    "text", ["", "Tool 2.", '{"ranking": []}', '{"ranking": ["1"]}', '{"ranking": [77]}', '{"ranking": [3, 1']
)
async def test_a_reply_that_is_no_ranking_is_told(serve: Serve, ranker: Ranker, kind: Kind, text: str) -> None:
    server = await serve(kind, reply=lambda query, documents: text)
    with pytest.raises(RerankError, match=r"no ranking$"):
        await ranker(server.url).rank("weather", TEXTS)


@pytest.mark.parametrize("body", ["[]", "{}", '{"choices": []}', '{"choices": [3]}', '{"choices": [{"message": 3}]}'])
@pytest.mark.parametrize("kind", ["ollama", "openai"])
async def test_an_answer_without_a_reply_is_told(serve: Serve, ranker: Ranker, kind: Kind, body: str) -> None:
    server = await serve(kind, fault=Fault(body=body))
    with pytest.raises(RerankError, match=r"no ranking$"):
        await ranker(server.url).rank("weather", TEXTS)


async def test_a_model_that_is_not_there_is_named_and_nothing_else_is_tried(serve: Serve, ranker: Ranker) -> None:
    server = await serve("ollama")
    with pytest.raises(RerankError, match=r"HTTP 404 \(model 'nope' not found\)"):
        await ranker(server.url, "nope").rank("weather", TEXTS)
    assert len(server.requests) == 1
