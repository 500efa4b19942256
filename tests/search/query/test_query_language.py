from __future__ import annotations

import pytest

from gateway.search.query.query_language import is_latin


@pytest.mark.parametrize(
    "query", ["calculate", "Größe berechnen", "tính toán", "1 + 1", "☃ 🎉", "", "the value of π", "search GitHub 問題"]
)
def test_latin_letters_are_the_larger_part(query: str) -> None:
    assert is_latin(query)


@pytest.mark.parametrize("query", ["数式を計算する", "вычислить", "계산", "احسب", "GitHub の課題を検索する方法"])
def test_letters_of_another_script_are(query: str) -> None:
    assert not is_latin(query)
