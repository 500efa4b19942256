from __future__ import annotations

import numpy as np
import pytest

from gateway.embedding.embedder import EmbeddingSpace
from gateway.embedding.local.static_model import StaticEmbedder
from gateway.embedding.servers.http_client import EmbeddingHttpClient
from gateway.embedding.servers.openai import OpenAIEmbedder, normalize_base_url
from gateway.errors import BadVectorError, EmbeddingError
from tests.doubles.embedding_faults import Fault
from tests.doubles.embedding_server import EmbeddingServer
from tests.embedding.conftest import MODEL, MakeClient
from tests.support.embedding import embed_documents

TEXTS = [f"a tool that does thing number {number}" for number in range(10)]


@pytest.mark.parametrize("fault", [None, Fault.shuffled()])
async def test_documents_go_out_in_batches_and_come_back_by_their_index(
    openai: OpenAIEmbedder, server: EmbeddingServer, fault: Fault | None
) -> None:
    server.fault = fault
    vectors = await embed_documents(openai, TEXTS)
    assert np.allclose(vectors, await embed_documents(StaticEmbedder(), TEXTS), atol=1e-6)
    assert sorted(server.texts) == [f"search_document: {text}" for text in TEXTS]
    assert [seen.path for seen in server.requests] == ["/v1/embeddings"] * 3
    assert {seen.authorization for seen in server.requests} == {"Bearer sk-secret"}


async def test_the_space_of_a_compatible_server(openai: OpenAIEmbedder) -> None:
    assert await openai.space() == EmbeddingSpace("openai", MODEL, 256, "search_document: ", "search_query: ")


async def test_a_key_that_is_refused_is_told_without_the_key(make_client: MakeClient) -> None:
    async with EmbeddingServer(api_key="sk-right") as server:
        wrong = OpenAIEmbedder(make_client(normalize_base_url(server.url), api_key="sk-wrong"), MODEL)
        with pytest.raises(EmbeddingError) as caught:
            await wrong.embed_query("hello")
        assert "HTTP 401; set embedder.api_key or OPENAI_API_KEY" in caught.value.message
        assert "sk-" not in caught.value.message
        health = await OpenAIEmbedder(make_client(normalize_base_url(server.url)), MODEL).check_health()
        assert health.next_step == "Set embedder.api_key or OPENAI_API_KEY to a key that is valid there."
        right = OpenAIEmbedder(make_client(normalize_base_url(server.url), api_key="sk-right"), MODEL)
        assert (await right.check_health()).ok


async def test_a_model_that_is_not_there_is_told(openai: OpenAIEmbedder, server: EmbeddingServer) -> None:
    server.fault = Fault.model_missing()
    with pytest.raises(
        EmbeddingError, match=r"try pulling it first\); check .* that nomic-embed-text is offered there"
    ):
        await openai.embed_query("hello")


@pytest.mark.parametrize(
    "body", ["{}", "[]", '{"data": [1]}', '{"data": [{"index": 0}]}', '{"data": [{"embedding": "AAAA", "index": 0}]}']
)
async def test_an_answer_without_vectors_is_told(openai: OpenAIEmbedder, server: EmbeddingServer, body: str) -> None:
    server.fault = Fault.body(body)
    with pytest.raises(BadVectorError):
        await openai.embed_query("hello")


@pytest.mark.parametrize(
    ("vector", "said"),
    [("[NaN, 1]", "NaN"), ("[0, 0]", "a vector of zeros"), ("[]", "empty or nested"), ('"!"', "empty or nested")],
)
async def test_a_server_whose_vectors_cannot_be_used_is_not_well(
    openai: OpenAIEmbedder, server: EmbeddingServer, vector: str, said: str
) -> None:
    server.fault = Fault.body(f'{{"data": [{{"index": 0, "embedding": {vector}}}]}}')
    health = await openai.check_health()
    assert not health.ok
    assert said in health.detail
    assert health.next_step


async def test_a_quota_that_is_used_up_is_told_in_the_servers_words(
    openai: OpenAIEmbedder, server: EmbeddingServer
) -> None:
    server.fault = Fault.answering(429, '{"error": {"message": "You exceeded your current quota."}}')
    health = await openai.check_health()
    assert "(You exceeded your current quota.)" in health.detail


async def test_a_server_that_is_well_says_so(openai: OpenAIEmbedder, server: EmbeddingServer) -> None:
    health = await openai.check_health()
    assert health.ok
    assert health.detail == f"The embedding server at {server.url}/v1 answers with the model {MODEL}."


async def test_a_failing_server_is_asked_once_by_a_health_check(
    openai: OpenAIEmbedder, server: EmbeddingServer
) -> None:
    server.fault = Fault.failing(500)
    health = await openai.check_health()
    assert not health.ok
    assert "HTTP 500" in health.detail
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("https://api.openai.com", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
        ("http://localhost:1234/v1/embeddings", "http://localhost:1234/v1"),
        ("http://localhost:1234/proxy", "http://localhost:1234/proxy/v1"),
        ("https://example.com/v1beta/openai", "https://example.com/v1beta/openai"),
    ],
)
def test_the_version_is_added_where_the_address_has_none(given: str, base: str) -> None:
    assert normalize_base_url(given) == base


async def test_a_server_on_another_machine_uses_the_certificates_of_the_system(make_client: MakeClient) -> None:
    client: EmbeddingHttpClient = make_client("https://127.0.0.1:1/v1")
    health = await OpenAIEmbedder(client, MODEL).check_health()
    assert health.detail == "Ollama at https://127.0.0.1:1/v1 does not answer."
