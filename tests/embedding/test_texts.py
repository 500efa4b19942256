from __future__ import annotations

import pytest

from gateway.embedding.texts import EMPTY, readable


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_a_text_with_nothing_in_it_becomes_a_placeholder(text: str) -> None:
    assert readable(text, 100) == EMPTY


def test_a_long_text_is_cut() -> None:
    assert readable("abcdef", 3) == "abc"


def test_a_lone_surrogate_is_replaced_and_all_else_is_kept() -> None:
    assert readable("a\ud83d 🦄 ü", 100) == "a? 🦄 ü"
