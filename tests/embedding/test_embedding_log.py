"""At level debug the log has a line for each embedding, and nothing of its text."""

from __future__ import annotations

import logging
import re

import pytest

from gateway.components import Components
from gateway.embedding.cache import QueryCache
from gateway.embedding.local.builtin import BuiltinEmbedder
from gateway.embedding.servers.ollama import OllamaEmbedder
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.embedding import embed_documents

LOGGER = "gateway.embedding.embedding_log"


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, ...]]:
    """Of each line the service, the model, the length of the text and whether it was in a cache."""
    form = re.compile(r"Embedding: service=(\w+) model=(\S+) characters=(\d+) ms=\d+\.\d cache_hit=(true|false)")
    found = [form.fullmatch(record.message) for record in caplog.records if record.name == LOGGER]
    assert all(found)
    return [match.groups() for match in found if match is not None]


async def test_texts_for_a_server_are_logged_one_by_one_and_those_that_were_kept_as_such(
    ollama: OllamaEmbedder, server: EmbeddingServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    await embed_documents(ollama, ["secret", "secrets of mine"])
    await embed_documents(ollama, ["secret"])
    sent = [("ollama", "nomic-embed-text", str(len(text)), "false") for text in server.texts]
    assert len(sent) == 2
    assert lines(caplog) == [*sent, ("ollama", "nomic-embed-text", "6", "true")]
    assert "secret" not in caplog.text


async def test_a_query_that_is_in_the_cache_is_logged_as_a_hit(
    parts: Components, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    cache, embedder = QueryCache(parts.database), BuiltinEmbedder()
    for _ in range(2):
        await cache.get_or_embed(1, "weather", embedder)
    await embed_documents(embedder, ["one", "three"])
    await embedder.aclose()
    assert [(length, hit) for _, _, length, hit in lines(caplog)] == [
        ("7", "false"),
        ("7", "true"),
        ("3", "false"),
        ("5", "false"),
    ]
    assert {service for service, *_ in lines(caplog)} == {"builtin"}


async def test_at_another_level_nothing_is_logged(ollama: OllamaEmbedder, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    await ollama.embed_query("weather")
    assert lines(caplog) == []
