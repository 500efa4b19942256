"""One bad text among many, against a server that answers as Ollama does."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.embedding.local.static_model import StaticEmbedder
from gateway.embedding.servers.ollama import OllamaEmbedder
from gateway.embedding.servers.remote_embedder import RemoteOptions
from gateway.errors import EmbedderUnavailableError, EmbeddingError
from tests.doubles.embedding_faults import Fault, TextFault
from tests.doubles.embedding_server import EmbeddingServer
from tests.embedding.conftest import MODEL, MakeClient
from tests.support.embedding import embed_documents

TEXTS = [f"a tool that does thing number {number}" for number in range(40)]
BAD = "a tool that no model likes, " + "whatever is said of it, " * 20 + "BAD at its end and everywhere BAD"


@pytest.fixture
def embedder(server: EmbeddingServer, make_client: MakeClient) -> OllamaEmbedder:
    return OllamaEmbedder(make_client(server.url, timeout=1.0), MODEL, RemoteOptions(batch_size=16))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("nan", "unsupported value: NaN"),
        ("context", "the input length exceeds the context length"),
        ("eof", "EOF"),
        ("zeros", "a vector of zeros"),
        ("hang", "did not answer within"),
    ],
)
async def test_a_text_that_cannot_be_embedded_costs_its_own_vector_and_no_other(
    embedder: OllamaEmbedder, server: EmbeddingServer, kind: TextFault, said: str
) -> None:
    server.text_fault = lambda text: kind if "a tool that no" in text else None
    texts = [*TEXTS[:17], BAD, *TEXTS[17:]]
    embedded = await embedder.embed_each(texts)
    assert embedded.failure is None
    assert set(embedded.refused) == {17}
    assert said in embedded.refused[17]
    assert set(embedded.vectors) == set(range(41)) - {17}
    expected = await embed_documents(StaticEmbedder(), TEXTS)
    vectors = [embedded.vectors[place] for place in range(41) if place != 17]
    assert np.allclose(vectors, expected, atol=1e-6)


async def test_a_text_that_is_too_long_is_shortened_until_it_fits_and_counted_as_cut(
    embedder: OllamaEmbedder, server: EmbeddingServer
) -> None:
    server.text_fault = lambda text: "context" if len(text) > 300 else None
    embedded = await embedder.embed_each([*TEXTS, BAD])
    assert (embedded.failure, dict(embedded.refused), set(embedded.cut)) == (None, {}, {40})
    assert 150 < len(next(text for text in server.embedded if "no model likes" in text)) <= 300


async def test_one_bad_text_among_five_thousand_costs_forty_requests_at_most(
    server: EmbeddingServer, make_client: MakeClient
) -> None:
    server.text_fault = lambda text: "nan" if text.endswith("BAD") else None
    texts = [f"tool {number} that does a good many things, as it says here" for number in range(5_000)]
    texts[2_500] += " at length" * 200 + "BAD"
    embedded = await OllamaEmbedder(make_client(server.url), MODEL).embed_each(texts)
    assert len(embedded.vectors) == 5_000
    assert embedded.cut == {2_500}
    failed = set(next(batch for batch in server.batches if any(text.endswith("BAD") for text in batch)))
    stem = texts[2_500][:40]
    more = [batch for batch in server.batches if set(batch) < failed or len(batch) == 1 or stem in batch[0]]
    assert len(more) <= 40


async def test_a_server_that_refuses_every_text_is_at_fault_itself(
    embedder: OllamaEmbedder, server: EmbeddingServer
) -> None:
    server.text_fault = lambda text: "context"
    embedded = await embedder.embed_each(TEXTS)
    assert (embedded.vectors, embedded.refused) == ({}, {})
    assert isinstance(embedded.failure, EmbeddingError)
    assert "check that embedder.model is an embedding model" in embedded.failure.message
    assert len(server.requests) < 10


async def test_a_server_that_fails_at_everything_blames_no_text(
    embedder: OllamaEmbedder, server: EmbeddingServer
) -> None:
    server.fault = Fault.failing(500)
    embedded = await embedder.embed_each(TEXTS)
    assert embedded.refused == {}
    assert isinstance(embedded.failure, EmbedderUnavailableError)


async def test_a_runner_that_died_once_is_asked_again(embedder: OllamaEmbedder, server: EmbeddingServer) -> None:
    died: list[str] = []

    def once(text: str) -> TextFault | None:
        if died:
            return None
        died.append(text)
        return "eof"

    server.text_fault = once
    embedded = await embedder.embed_each(TEXTS[:3])
    assert len(embedded.vectors) == 3
    assert len(server.requests) == 2


async def test_a_limit_on_texts_is_learnt_from_refusals_and_kept(
    embedder: OllamaEmbedder, server: EmbeddingServer
) -> None:
    server.max_inputs = 10
    assert len((await embedder.embed_each(TEXTS)).vectors) == 40
    assert embedder.batcher.refused_above == (10, None)
    server.clear()
    assert len((await embedder.embed_each([f"again {text}" for text in TEXTS])).vectors) == 40
    assert len(server.texts) == 40


async def test_a_query_that_is_too_long_is_asked_in_fewer_words(
    embedder: OllamaEmbedder, server: EmbeddingServer
) -> None:
    server.text_fault = lambda text: "context" if len(text) > 500 else None
    assert (await embedder.embed_query("计算" * 400)).shape == (256,)
