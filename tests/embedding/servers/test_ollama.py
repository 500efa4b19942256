from __future__ import annotations

import anyio
import anyio.to_thread
import numpy as np
import pytest

from gateway.embedding.embedder import EmbeddingSpace
from gateway.embedding.local.static_model import StaticEmbedder
from gateway.embedding.servers.ollama import OllamaEmbedder
from gateway.errors import BadVectorError, EmbedderUnavailableError, EmbeddingError
from tests.doubles.embedding_faults import Fault
from tests.doubles.embedding_server import EmbeddingServer
from tests.embedding.conftest import MODEL, MakeClient
from tests.support.embedding import embed_documents

TEXTS = [f"a tool that does thing number {number}" for number in range(10)]


async def test_documents_go_out_in_batches_with_their_prefix_and_come_back_in_order(
    ollama: OllamaEmbedder, server: EmbeddingServer
) -> None:
    vectors = await embed_documents(ollama, TEXTS)
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, await embed_documents(StaticEmbedder(), TEXTS), atol=1e-6)
    assert sorted(server.texts) == [f"search_document: {text}" for text in TEXTS]
    assert [seen.path for seen in server.requests] == ["/api/embed"] * 3


async def test_a_query_goes_out_with_its_own_prefix(ollama: OllamaEmbedder, server: EmbeddingServer) -> None:
    vector = await ollama.embed_query("find a file")
    assert vector.shape == (256,)
    assert server.texts == ["search_query: find a file"]


async def test_the_space_is_learned_from_one_probe(ollama: OllamaEmbedder, server: EmbeddingServer) -> None:
    expected = EmbeddingSpace("ollama", MODEL, 256, "search_document: ", "search_query: ", await ollama.build())
    assert len(expected.build) == 64
    assert await ollama.space() == expected
    assert await ollama.space() == expected
    assert len(server.texts) == 1


async def test_the_tag_that_ollama_adds_makes_no_other_space(
    ollama: OllamaEmbedder, server: EmbeddingServer, make_client: MakeClient
) -> None:
    tagged = OllamaEmbedder(make_client(server.url), f"{MODEL}:latest")
    assert (await tagged.space()).key == (await ollama.space()).key


async def test_empty_overlong_and_broken_texts_are_sent_in_a_form_that_works(
    ollama: OllamaEmbedder, server: EmbeddingServer
) -> None:
    await embed_documents(ollama, ["", "x" * 100_000, "\ud83d"])
    assert server.texts[0] == "search_document: empty"
    assert server.texts[1] == "search_document: " + " ".join(["x" * 100] * 3)
    assert server.texts[2] == "search_document: ?"


async def test_an_older_server_is_asked_text_by_text(ollama: OllamaEmbedder, server: EmbeddingServer) -> None:
    server.fault = Fault.no_lists()
    assert np.allclose(await embed_documents(ollama, TEXTS), await embed_documents(StaticEmbedder(), TEXTS), atol=1e-6)
    server.clear()
    await embed_documents(ollama, [f"another {text}" for text in TEXTS[:3]])
    assert [seen.path for seen in server.requests] == ["/api/embeddings"] * 3


@pytest.mark.parametrize("fault", [Fault.model_missing(), None])
async def test_a_missing_model_is_told_with_the_command_that_brings_it(
    server: EmbeddingServer, make_client: MakeClient, fault: Fault | None
) -> None:
    server.fault = fault
    embedder = OllamaEmbedder(make_client(server.url), "bge-m3")
    expected = f"Ollama at {server.url} does not have the model bge-m3; run `ollama pull bge-m3`."
    with pytest.raises(EmbeddingError) as caught:
        await embedder.embed_query("hello")
    assert caught.value.message == expected
    health = await embedder.check_health()
    assert not health.ok
    assert f"{health.detail[:-1]}; r{health.next_step[1:]}" == expected


async def test_an_older_server_without_the_model_is_told_the_same(
    server: EmbeddingServer, make_client: MakeClient
) -> None:
    server.fault = Fault.no_lists()
    with pytest.raises(EmbeddingError, match="run `ollama pull bge-m3`"):
        await OllamaEmbedder(make_client(server.url), "bge-m3").embed_query("hello")


async def test_a_server_that_is_not_ollama_is_told(server: EmbeddingServer, make_client: MakeClient) -> None:
    embedder = OllamaEmbedder(make_client(f"{server.url}/elsewhere"), MODEL)
    with pytest.raises(EmbeddingError, match=r"check that embedder\.base_url is the address of an Ollama server"):
        await embedder.embed_query("hello")
    health = await embedder.check_health()
    assert health.next_step == "Check that embedder.base_url is the address of an Ollama server."


@pytest.mark.parametrize("status", [400, 501])
async def test_a_model_that_cannot_embed_is_told_in_the_servers_words(
    ollama: OllamaEmbedder, server: EmbeddingServer, status: int
) -> None:
    server.fault = Fault.failing(status)
    with pytest.raises(EmbeddingError, match=r"\(the model runner is out of luck\); check that"):
        await ollama.embed_query("hello")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.value("NaN"), "NaN or infinity"),
        (Fault.value("null"), "NaN or infinity"),
        (Fault.value("1e999"), "NaN or infinity"),
        (Fault.value("[]"), "something else than lists of numbers"),
        (Fault.zeros(), "a vector of zeros"),
        (Fault.missing_vector(), "vectors for 4 texts"),
        (Fault.ragged(), "255 dimensions for model nomic-embed-text, which had 256"),
        (Fault.dimensions(10), "10 dimensions for model nomic-embed-text, which had 256"),
        (Fault.body("{}"), "0 vectors for 4 texts"),
        (Fault.body("[]"), "0 vectors for 4 texts"),
        (Fault.body('{"embeddings": {}}'), "something else than lists of numbers"),
    ],
)
async def test_vectors_that_cannot_be_used_are_an_error(
    ollama: OllamaEmbedder, server: EmbeddingServer, fault: Fault, expected: str
) -> None:
    await ollama.space()
    server.fault = fault
    with pytest.raises(BadVectorError, match=expected):
        await embed_documents(ollama, TEXTS[:4])


async def test_vectors_that_were_bad_once_are_asked_for_again(ollama: OllamaEmbedder, server: EmbeddingServer) -> None:
    server.fault = Fault.zeros(times=1)
    assert np.allclose(await embed_documents(ollama, TEXTS), await embed_documents(StaticEmbedder(), TEXTS), atol=1e-6)


async def test_a_server_that_is_well_says_so(ollama: OllamaEmbedder, server: EmbeddingServer) -> None:
    health = await ollama.check_health()
    assert health.ok
    assert health.detail == f"Ollama at {server.url} answers and has the model {MODEL}."
    assert health.latency_ms is not None
    assert server.texts == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault.value("NaN"), "a vector with NaN or infinity in it"),
        (Fault.zeros(), "a vector of zeros"),
        (Fault.answering(500, '{"error":"json: unsupported value: NaN"}'), "json: unsupported value: NaN"),
    ],
)
async def test_a_server_that_gives_no_vectors_is_not_well_until_it_does(
    ollama: OllamaEmbedder, server: EmbeddingServer, fault: Fault, said: str
) -> None:
    server.fault = fault
    with pytest.raises(EmbeddingError, match=said):
        await ollama.embed_query("hello")
    for _ in range(2):
        health = await ollama.check_health()
        assert not health.ok
        assert said in health.detail
        assert health.next_step
    server.fault = None
    # Also where nobody asks for a vector meanwhile.
    assert (await ollama.check_health()).ok
    asked = len(server.texts)
    assert (await ollama.check_health()).ok
    assert len(server.texts) == asked


async def test_a_text_that_gets_no_vector_makes_no_server_ill(ollama: OllamaEmbedder, server: EmbeddingServer) -> None:
    server.text_fault = lambda text: "nan" if text.endswith("BAD") else None
    assert (await ollama.embed_each(["well", "this is BAD"])).refused
    server.fault = Fault.value("NaN", times=1)
    assert (await ollama.check_health()).ok


async def test_a_server_that_is_down_is_told_and_found_again(make_client: MakeClient) -> None:
    async with EmbeddingServer() as server:
        embedder = OllamaEmbedder(make_client(server.url), MODEL)
        await anyio.to_thread.run_sync(server.stop)
        with pytest.raises(EmbedderUnavailableError, match=f"Ollama at {server.url} does not answer; start it"):
            await embedder.space()
        health = await embedder.check_health()
        assert not health.ok
        assert health.next_step == "Start it with `ollama serve`, or set embedder.base_url to where it runs."
        await anyio.to_thread.run_sync(server.start)
        assert (await embedder.check_health()).ok
        assert (await embedder.space()).dimensions == 256


async def test_texts_are_cut_to_what_the_model_says_that_it_reads(
    ollama: OllamaEmbedder, server: EmbeddingServer
) -> None:
    server.context_length = 128
    await ollama.build()
    embedded = await ollama.embed_each(["工具" * 300])
    assert embedded.cut == {0}
    assert len(server.texts[-1]) < 128
    assert server.options == [None]


async def test_a_model_that_is_set_to_read_less_than_it_can_is_asked_for_more(
    ollama: OllamaEmbedder, server: EmbeddingServer
) -> None:
    server.num_ctx = 256
    await ollama.build()
    await ollama.embed_query("find a file")
    assert server.options == [{"num_ctx": 2_048}]
