"""What is kept of the text of an example."""

from __future__ import annotations

import pytest

from gateway.catalog.examples.example_text import MAX_CHARACTERS, check_text, clip_text, example_text, text_key
from gateway.errors import InvalidInputError


def test_a_text_is_kept_on_one_line_without_what_cannot_be_seen() -> None:
    assert check_text("  book\ta\n\x00 table\ud800 ") == "book a table"


@pytest.mark.parametrize("text", ["", "  ", "?!…", "\x00"])
def test_a_text_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="needs a letter or a digit"):
        check_text(text)


def test_a_text_may_have_so_many_characters_and_no_more() -> None:
    assert len(check_text("a" * MAX_CHARACTERS)) == MAX_CHARACTERS
    with pytest.raises(InvalidInputError, match="this one has 301"):
        check_text("a" * (MAX_CHARACTERS + 1))


def test_texts_that_differ_in_case_marks_and_blanks_are_the_same() -> None:
    assert (
        text_key("Book a table, for FOUR!") == text_key("book  a table for four") != text_key("book a table for five")
    )


@pytest.mark.parametrize(
    "before", ["buy " + " " * 1_170, "buy sk-ant-api03-" + "a" * 1_165, "buy " + "a@b.example " * 98]
)
def test_nothing_is_kept_of_a_secret_that_stands_where_reading_ends(before: str) -> None:
    said = f"{before} ghp_{'a1B2' * 9}"
    assert "ghp" not in example_text(said)
    assert "ghp" not in example_text(clip_text(said))
    assert example_text(said).startswith("buy")


def test_of_what_is_longer_the_beginning_is_kept() -> None:
    assert example_text("猫" * 2_000) == "猫" * MAX_CHARACTERS
    assert example_text("cat " * 2_000) == ("cat " * 75).strip()


@pytest.mark.parametrize(
    "between", ["\u200b", "\u200d", "\ufeff", "\u00ad", "\u2060", "\u202e", "\u034f", "\u3164", "\ufe0f", "\U000e0061"]
)
def test_a_secret_with_what_is_not_displayed_between_its_letters_is_masked(between: str) -> None:
    for secret in ("ghp_" + "a1B2" * 9, "anna.schmidt@example.org"):
        kept = example_text(f"send {between.join(secret)} on")
        assert kept.startswith("send ")
        assert kept.endswith(" on")
        assert not {secret, secret[:6], secret[-8:]} & {kept[i : i + n] for i in range(len(kept)) for n in (6, 8, 40)}
        assert between not in kept


def test_a_secret_in_letters_of_full_width_is_masked() -> None:
    wide = "".join(chr(ord(each) + 0xFEE0) for each in "ghp_" + "a1B2" * 9)
    assert "a1B2" not in example_text(f"send {wide} on")
    assert wide[:8] not in example_text(f"send {wide} on")
