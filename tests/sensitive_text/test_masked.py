"""Spans of a text under masks."""

from __future__ import annotations

from gateway.masking import MASK
from gateway.sensitive_text.masked import TextSpan, mask_spans


def test_of_spans_that_overlap_nothing_is_left_beside_the_mask() -> None:
    text = "call Ada Lovelace@example.com or Bob"
    masked = mask_spans(
        text,
        [TextSpan(9, 29, "email"), TextSpan(5, 17, "person"), TextSpan(18, 22, "url"), TextSpan(33, 36, "person")],
    )
    assert masked.text == f"call {MASK} or {MASK}"
    assert masked.counts == {"person": 2}


def test_spans_side_by_side_have_a_mask_each_and_those_within_another_none() -> None:
    masked = mask_spans("abcdef", [TextSpan(0, 3, "one"), TextSpan(3, 5, "two"), TextSpan(1, 2, "within")])
    assert (masked.text, masked.counts) == (f"{MASK}{MASK}f", {"one": 1, "two": 1})
