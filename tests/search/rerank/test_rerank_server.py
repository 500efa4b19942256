"""Servers made for reranking, each by its own wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from gateway.errors import RerankError
from gateway.search.rerank.http_client import RerankHttpClient
from gateway.search.rerank.rerank_server import RerankServer, split_version
from tests.doubles.ranking_server import MODEL, Fault, Kind
from tests.search.rerank.conftest import TEXTS, Serve

Ranker = Callable[..., RerankServer]


@pytest.fixture
async def ranker() -> AsyncIterator[Ranker]:
    async with AsyncExitStack() as stack:

        def make(base_url: str, model: str = MODEL, api_key: str = "") -> RerankServer:
            base_url, version = split_version(base_url)
            client = RerankHttpClient(base_url, name="The reranker", api_key=api_key)
            stack.push_async_callback(client.aclose)
            return RerankServer(client, model, version)

        yield make


@pytest.mark.parametrize("kind", ["jina", "cohere", "vllm", "llama.cpp", "tei", "unversioned"])
@pytest.mark.parametrize("model", [MODEL, ""])
async def test_every_kind_of_server_ranks_and_is_known_again(
    serve: Serve, ranker: Ranker, kind: Kind, model: str
) -> None:
    server = await serve(kind)
    reranker = ranker(server.url, model)
    for query, best in (("mail a file to Bob", [3, 0]), ("weather of Rome", [2, 1])):
        assert (await reranker.rank(query, TEXTS))[:2] == best
    paths = [request.path for request in server.requests]
    assert paths[-1] == paths[-2]
    assert len(paths) <= 4
    sent = server.requests[-1].body
    assert sent.get("documents", sent.get("texts")) == list(TEXTS)
    assert sent.get("model", model) == model


async def test_another_kind_of_server_at_the_same_address_is_found_out_again(serve: Serve, ranker: Ranker) -> None:
    server = await serve("tei")
    reranker = ranker(server.url)
    assert (await reranker.rank("weather", TEXTS))[0] == 2
    server.kind = "unversioned"
    for _ in range(2):
        assert (await reranker.rank("weather", TEXTS))[0] == 2
    asked = [(request.path, *request.body.keys() & {"texts", "documents"}) for request in server.requests[2:]]
    assert asked == [("/rerank", "texts"), ("/v1/rerank",), ("/rerank", "documents"), ("/rerank", "documents")]


@pytest.mark.parametrize("kind", ["jina", "tei"])
async def test_an_address_is_taken_with_its_version_or_endpoint(serve: Serve, ranker: Ranker, kind: Kind) -> None:
    server = await serve(kind)
    for suffix in ("", "/", "/rerank") if kind == "tei" else ("", "/", "/v1", "/v1/", "/v1/rerank"):
        assert (await ranker(server.url + suffix).rank("weather", TEXTS))[0] == 2


async def test_only_the_second_version_is_asked_where_the_address_says_so(serve: Serve, ranker: Ranker) -> None:
    server = await serve("cohere")
    await ranker(f"{server.url}/v2").rank("weather", TEXTS)
    assert [request.path for request in server.requests] == ["/v2/rerank"]


async def test_the_key_is_sent_and_not_repeated(serve: Serve, ranker: Ranker) -> None:
    server = await serve("jina", api_key="jina_secret")
    assert await ranker(server.url, api_key="jina_secret").rank("weather", TEXTS)
    with pytest.raises(RerankError, match=r"HTTP 401$"):
        await ranker(server.url, api_key="another_secret").rank("weather", TEXTS)


@pytest.mark.parametrize("kind", ["jina", "vllm", "llama.cpp"])
async def test_a_model_that_the_server_lacks_is_named(serve: Serve, ranker: Ranker, kind: Kind) -> None:
    server = await serve(kind)
    with pytest.raises(RerankError, match=r"HTTP 404 \(model 'nope' not found\)"):
        await ranker(server.url, "nope").rank("weather", TEXTS)
    assert len(server.requests) == 1


async def test_a_server_without_any_such_path_is_told(serve: Serve, ranker: Ranker) -> None:
    server = await serve("ollama")
    with pytest.raises(RerankError, match="HTTP 404"):
        await ranker(server.url).rank("weather", TEXTS)
    assert [request.path for request in server.requests] == ["/v1/rerank", "/rerank", "/rerank"]


@pytest.mark.parametrize("status", [400, 401, 413, 422, 429, 500, 503])
async def test_a_server_that_refuses_is_asked_once_and_quoted(serve: Serve, ranker: Ranker, status: int) -> None:
    server = await serve("jina", fault=Fault(status=status))
    with pytest.raises(RerankError, match=f"HTTP {status}{'' if status == 401 else r' .out of luck.'}$"):
        await ranker(server.url).rank("weather", TEXTS)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "order"),
    [
        ('{"results": [{"index": 2, "relevance_score": 1}]}', [2]),
        ('{"results": [{"index": 2, "relevance_score": 1}, {"index": 2, "relevance_score": 9}]}', [2]),
        ('{"results": [{"index": 7, "relevance_score": 1}, {"index": 0, "relevance_score": 0}]}', [0]),
        ('{"results": [{"index": -1, "relevance_score": 1}, {"index": 1, "relevance_score": -3}]}', [1]),
        ('{"results": [null, 3, {"index": true, "relevance_score": 1}, {"index": 3, "relevance_score": 1}]}', [3]),
        ('[{"index": 1, "score": 0.1}, {"index": 0, "score": 0.5}, {"index": 3, "score": 0.5}]', [0, 3, 1]),
        ('{"results": [{"index": 0, "relevance_score": NaN}, {"index": 1, "relevance_score": 1}]}', [1]),
    ],
)
async def test_odd_answers_are_read_as_far_as_they_make_sense(
    serve: Serve, ranker: Ranker, body: str, order: list[int]
) -> None:
    server = await serve("jina", fault=Fault(body=body))
    assert await ranker(server.url).rank("weather", TEXTS) == order


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "[]",
        "3",
        "null",
        '{"results": []}',
        '{"results": "none"}',
        '{"results": [{"index": 0}]}',
        '{"results": [{"index": 0, "relevance_score": "0.5"}]}',
        '{"results": [{"index": 0, "relevance_score": 1e999}]}',
        '{"results": [{"index": 99, "relevance_score": 1}]}',
        "<html>",
        "[" * 50_000,
    ],
)
async def test_answers_that_are_no_order_are_told(serve: Serve, ranker: Ranker, body: str) -> None:
    server = await serve("jina", fault=Fault(body=body))
    with pytest.raises(RerankError, match=r"^The reranker at http://127"):
        await ranker(server.url).rank("weather", TEXTS)
