"""Telling which language a query is in."""

from __future__ import annotations

import pytest

from gateway.embedding.spaces.language_detection import LanguageDetector


@pytest.mark.parametrize(
    ("query", "languages"),
    [
        ("天気", ("zh",)),
        ("明日の天気", ("ja",)),
        ("東京 ニュース", ("ja",)),
        ("서울 날씨", ("ko",)),
        ("погода", ("ru",)),
        ("τι καιρό θα κάνει", ("el",)),
        ("wie wird das Wetter morgen in Berlin", ("de",)),
        ("Wetter", ("en",)),
        ("create an issue in a repository", ("en",)),
        ("kubectl get pods", ("en",)),
        ("create_issue(owner, repo)", ("en",)),
        ("", ("en",)),
        ("12 + 30", ("en",)),
        ("GitHub の issue を作成する", ("ja", "en")),
        ("please translate 你好 into English for the whole team", ("en",)),
        ("上海 and 서울 weather", ("zh", "en", "ko")),
    ],
)
def test_a_query_is_told_by_its_script_and_a_longer_one_by_its_spelling(query: str, languages: tuple[str, ...]) -> None:
    assert set(LanguageDetector(["ja", "zh", "ko", "ru", "el", "de"]).detect(query)) == set(languages)


def test_a_script_of_several_languages_stands_for_the_one_that_is_wanted() -> None:
    assert LanguageDetector(["ja"]).detect("天気") == ("ja",)
    assert LanguageDetector(["uk"]).detect("погода") == ("uk",)
    assert LanguageDetector(["ru", "uk"]).detect("Яка сьогодні погода в Києві?") == ("uk",)
    assert LanguageDetector(["ja"]).detect("wie wird das Wetter morgen in Berlin") == ("en",)
