"""An embedding server, and embedders that reach it without long waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from gateway.backoff import Backoff
from gateway.circuit_breaker import CircuitBreaker
from gateway.embedding.servers.http_client import EmbeddingHttpClient
from gateway.embedding.servers.ollama import OLLAMA_HINT, OllamaEmbedder
from gateway.embedding.servers.openai import OPENAI_HINT, OpenAIEmbedder, normalize_base_url
from gateway.embedding.servers.remote_embedder import RemoteOptions
from tests.doubles.embedding_server import EmbeddingServer

MODEL = "nomic-embed-text"

MakeClient = Callable[..., EmbeddingHttpClient]


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with EmbeddingServer() as server:
        yield server


@pytest.fixture
async def make_client() -> AsyncIterator[MakeClient]:
    made: list[EmbeddingHttpClient] = []

    def make(
        url: str,
        *,
        api_key: str = "",
        timeout: float = 10.0,
        breaker: CircuitBreaker | None = None,
        concurrency: int = 4,
        max_reply_bytes: int = 64 * 2**20,
        busy_hint: str = "see what else it does",
    ) -> EmbeddingHttpClient:
        made.append(
            EmbeddingHttpClient(
                url,
                name="Ollama",
                hint=OLLAMA_HINT,
                api_key=api_key,
                timeout_seconds=timeout,
                concurrency=concurrency,
                backoff=Backoff(first_seconds=0.001, longest_seconds=5.0),
                breaker=breaker,
                max_reply_bytes=max_reply_bytes,
                busy_hint=busy_hint,
            )
        )
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


@pytest.fixture
def ollama(server: EmbeddingServer, make_client: MakeClient) -> OllamaEmbedder:
    return OllamaEmbedder(make_client(server.url), MODEL, RemoteOptions(batch_size=4))


@pytest.fixture
async def openai(server: EmbeddingServer) -> AsyncIterator[OpenAIEmbedder]:
    client = EmbeddingHttpClient(
        normalize_base_url(server.url),
        name="The embedding server",
        hint=OPENAI_HINT,
        api_key="sk-secret",
        backoff=Backoff(first_seconds=0.001, longest_seconds=5.0),
    )
    yield OpenAIEmbedder(client, MODEL, RemoteOptions(batch_size=4))
    await client.aclose()
