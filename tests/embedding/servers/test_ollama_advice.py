"""What is advised for each answer of a real Ollama that is no vector."""

from __future__ import annotations

from dataclasses import dataclass

import anyio.to_thread
import pytest

from gateway.embedding.servers.ollama import OLLAMA_BUSY_HINT, OllamaEmbedder
from gateway.errors import EmbeddingError
from tests.doubles.embedding_faults import Fault
from tests.doubles.embedding_server import EmbeddingServer
from tests.embedding.conftest import MODEL, MakeClient
from tests.support.embedding import embed_documents


@dataclass(frozen=True)
class Case:
    """An answer to every request for vectors, with what is said of it and advised."""

    fault: Fault
    said: str
    advised: str
    never: tuple[str, ...] = ("ollama serve", "timeout_seconds")


CASES = {
    "busy": Case(
        Fault.answering(503, '{"error":"server busy, please try again.  maximum pending requests exceeded"}'),
        "HTTP 503 (server busy, please try again. maximum pending requests exceeded)",
        "see with `ollama ps` what it does",
    ),
    "hung, or loading a cold model": Case(
        Fault.slow(30), "is there and did not answer within 0.2 s", "it may be loading the model"
    ),
    "too long": Case(
        Fault.answering(400, '{"error":"the input length exceeds the context length"}'),
        "the input length exceeds the context length",
        "check that embedder.model is an embedding model",
        never=("ollama serve", "ollama pull"),
    ),
    "not a number": Case(
        Fault.answering(500, '{"error":"failed to encode response: json: unsupported value: NaN"}'),
        "unsupported value: NaN",
        "look into that server's log",
    ),
    "runner killed": Case(
        Fault.answering(400, '{"error":"do embedding request: Post \\"http://127.0.0.1:4711/embedding\\": EOF"}'),
        "lost what runs the model",
        "memory that ran out",
    ),
    "unknown model": Case(
        Fault.answering(404, '{"error":"model \\"nomic-embed-text\\" not found, try pulling it first"}'),
        "does not have the model nomic-embed-text",
        "run `ollama pull nomic-embed-text`",
    ),
    "impossible name": Case(
        Fault.answering(400, '{"error":"invalid model name"}'),
        "invalid model name",
        "set embedder.model to a name that `ollama list` shows",
    ),
    "a model of another kind": Case(
        Fault.answering(400, '{"error":"\\"llama3\\" does not support embeddings"}'),
        '"llama3" does not support embeddings',
        "check that nomic-embed-text is an embedding model",
    ),
    "no Ollama": Case(
        Fault.answering(404, "404 page not found"),
        "HTTP 404",
        "check that embedder.base_url is the address of an Ollama",
    ),
    "another method": Case(Fault.answering(405, "405 method not allowed"), "HTTP 405", "check that"),
    "cut off": Case(Fault.cut(), "broke off the connection", "see in its log whether it still runs"),
    "a proxy's page": Case(
        Fault.body("<html>sign in</html>"), "something that is not JSON", "check that embedder.base_url is the address"
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("what", ["query", "documents"])
async def test_the_advice_fits_the_cause(
    server: EmbeddingServer, make_client: MakeClient, case: Case, what: str
) -> None:
    timeout = 0.2 if case.fault.kind == "slow" else 10.0
    embedder = OllamaEmbedder(make_client(server.url, timeout=timeout, busy_hint=OLLAMA_BUSY_HINT), MODEL)
    server.fault = case.fault
    with pytest.raises(EmbeddingError) as caught:
        await (embedder.embed_query("weather") if what == "query" else embed_documents(embedder, ["weather"]))
    assert case.said in caught.value.detail
    assert case.advised in caught.value.next_step
    assert [words for words in case.never if words in caught.value.message] == []
    await embedder.aclose()


async def test_a_server_that_is_left_alone_is_told_with_the_advice_for_what_it_failed_at(
    server: EmbeddingServer, make_client: MakeClient
) -> None:
    embedder = OllamaEmbedder(make_client(server.url, busy_hint=OLLAMA_BUSY_HINT), MODEL)
    server.fault = CASES["busy"].fault
    for _ in range(3):
        with pytest.raises(EmbeddingError) as caught:
            await embedder.embed_query("weather")
    assert "is left alone" in caught.value.detail
    assert caught.value.next_step.startswith("see with `ollama ps`")


async def test_a_server_that_is_down_is_to_be_started(server: EmbeddingServer, make_client: MakeClient) -> None:
    embedder = OllamaEmbedder(make_client(server.url), MODEL)
    await anyio.to_thread.run_sync(server.stop)
    with pytest.raises(EmbeddingError, match="does not answer; start it with `ollama serve`"):
        await embedder.embed_query("weather")
