from __future__ import annotations

from dataclasses import replace

from gateway.embedding.embedder import EmbedderHealth, EmbeddingSpace
from gateway.errors import EmbeddingError

SPACE = EmbeddingSpace("ollama", "nomic-embed-text", 768, "search_document: ", "search_query: ")


def test_the_key_of_a_space_is_the_same_in_every_process() -> None:
    assert SPACE.key == "2171a0f576aab58104f46c0c3d94668bb7f145bc5a41eef0fc0b69edf049df24"


def test_a_space_that_differs_in_anything_has_another_key() -> None:
    others = [
        SPACE,
        replace(SPACE, provider="openai"),
        replace(SPACE, model="all-minilm"),
        replace(SPACE, dimensions=512),
        replace(SPACE, document_prefix=""),
        replace(SPACE, query_prefix=""),
        replace(SPACE, document_prefix="search_query: ", query_prefix="search_document: "),
    ]
    assert len({space.key for space in others}) == len(others)


def test_the_health_of_a_failure_tells_what_happened_and_what_to_do_apart() -> None:
    error = EmbeddingError("It broke (a; b)", "mend it; or not")
    assert error.message == "It broke (a; b); mend it; or not."
    assert EmbedderHealth.failed(error, "m") == EmbedderHealth(False, "It broke (a; b).", "m", None, "Mend it; or not.")
