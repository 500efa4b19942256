"""How values are written on pages."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from gateway.admin.web.presentation.formatting import display_text, format_milliseconds, format_number, relative_time

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


def test_text_that_would_not_be_seen_is_shown_by_its_number() -> None:
    assert display_text("a\u202eb\u200bc\nd") == "a⟨U+202E⟩b⟨U+200B⟩c\nd"
    assert display_text("x" * 30, 10) == "x" * 10 + "… (30 characters)"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "just now"), (30, "30 s ago"), (90, "1 min ago"), (7200, "2 h ago"), (-172_800, "in 2 d")],
)
def test_moments_are_told_from_now(seconds: int, words: str) -> None:
    assert f">{words}</time>" in relative_time(NOW - timedelta(seconds=seconds), NOW)


def test_numbers_have_the_digits_that_count() -> None:
    assert format_number(1_234_567) == "1\u202f234\u202f567"
    assert [format_milliseconds(each) for each in (None, 0.1234, 5.25, 42.4, 2_345)] == [
        "–",
        "0.12 ms",
        "5.2 ms",
        "42 ms",
        "2.3 s",
    ]
