from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tokenizers import Tokenizer

import gateway
from gateway.embedding.local.builtin import model_folder
from gateway.embedding.text_length import estimate_tokens, fit_text, shorten_text

CODE = (Path(gateway.__file__).parent / "app.py").read_text("utf-8")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    loaded = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    loaded.no_truncation()
    return loaded


@pytest.mark.parametrize(
    "text",
    [
        "Perform mathematical calculations on an expression and return the result as a number. " * 10,
        CODE,
        "计算数学表达式的工具" * 50,
        "天気を調べるツールです" * 20,
        "Получить текущую погоду в городе " * 20,
        "날씨를 조회하는 도구 " * 20,
        "🦄 🎉 " * 50,
    ],
)
def test_a_text_has_no_more_tokens_than_are_estimated_in_any_script(tokenizer: Tokenizer, text: str) -> None:
    actual = len(tokenizer.encode(text, add_special_tokens=False).ids)
    assert actual <= estimate_tokens(text) * 1.1


def test_prose_is_not_taken_for_more_than_twice_its_length(tokenizer: Tokenizer) -> None:
    text = "Get the current weather of a city, its forecast and the time of sunrise. " * 20
    assert estimate_tokens(text) < 2 * len(tokenizer.encode(text).ids)


def test_chinese_is_cut_at_a_token_a_character() -> None:
    fitted = fit_text("工具" * 400, 500)
    assert fitted.is_cut
    assert 400 < len(fitted.text) <= 500


def test_a_cut_is_made_after_a_word() -> None:
    fitted = fit_text("find every file " * 1_000, 100)
    assert fitted.text.split(" ")[-1] in ("find", "every", "file")
    assert fitted.tokens <= 100


def test_what_fits_stays_as_it_is() -> None:
    fitted = fit_text("List the files of a folder", 100)
    assert (fitted.text, fitted.is_cut) == ("List the files of a folder", False)
    assert fit_text("", 100).text == ""


def test_runs_without_a_blank_are_broken_after_a_hundred_characters_and_no_more_than_three_hundred_are_sent() -> None:
    run = base64.b64encode(bytes(3_000)).decode()
    fitted = fit_text(f"Upload a picture, such as {run} of this size", 8_000)
    words = fitted.text.split(" ")
    assert max(map(len, words)) == 100
    assert sum(len(word) for word in words if word in run) >= 300
    assert fitted.text.endswith(" of this size")
    assert fitted.is_cut


def test_a_run_that_is_broken_and_sent_whole_is_not_counted_as_cut() -> None:
    fitted = fit_text("a" * 250, 8_000)
    assert (fitted.text, fitted.is_cut) == (" ".join(("a" * 100, "a" * 100, "a" * 50)), False)


def test_scripts_that_write_without_blanks_are_no_runs() -> None:
    assert fit_text("工" * 400, 8_000).text == "工" * 400


def test_a_megabyte_without_a_blank_is_cut_like_any_other_text() -> None:
    assert len(fit_text("x" * 2**20, 512).text) == 302
    assert len(fit_text("工" * 2**20, 512).text) < 512


def test_a_text_is_shortened_to_the_end_of_a_word() -> None:
    assert shorten_text("one two three four", 0.5) == "one two"
    assert shorten_text("工" * 10, 0.5) == "工" * 5
