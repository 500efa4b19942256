from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gateway.embedding.embedder import (
    EMPTY_PLACEHOLDER,
    EmbeddedTexts,
    EmbedderHealth,
    EmbeddingSpace,
    prepare_text,
    stack_vectors,
)
from gateway.errors import EmbedderUnavailableError, EmbeddingError, TextRefusedError

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
    assert EmbedderHealth.from_error(error, "m") == EmbedderHealth(
        False, "It broke (a; b).", "m", None, "Mend it; or not."
    )


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_a_text_with_nothing_in_it_becomes_a_placeholder(text: str) -> None:
    assert prepare_text(text) == EMPTY_PLACEHOLDER


def test_a_lone_surrogate_is_replaced_and_all_else_is_kept() -> None:
    assert prepare_text("a\ud83d 🦄 ü") == "a? 🦄 ü"


def test_vectors_of_all_texts_are_stacked_in_their_order() -> None:
    embedded = EmbeddedTexts({1: np.array([0, 1], np.float32), 0: np.array([1, 0], np.float32)})
    assert stack_vectors(embedded, 2).tolist() == [[1, 0], [0, 1]]


def test_where_all_texts_are_wanted_one_that_is_refused_is_an_error_that_names_it() -> None:
    with pytest.raises(TextRefusedError, match=r"Text 2 of 2 cannot be embedded \(too long\)"):
        stack_vectors(EmbeddedTexts({0: np.array([1, 0], np.float32)}, {1: "too long"}), 2)
    with pytest.raises(EmbedderUnavailableError):
        stack_vectors(EmbeddedTexts(failure=EmbedderUnavailableError("It is down", "start it")), 2)
