"""Personal data in texts: found by form and checksum, and what only looks like it is left."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.masking import MASK
from gateway.sensitive_text.personal_data import PERSONAL_KINDS, mask_personal

DATA = {
    "anna.schmidt+list@mail.example.co.uk": "mail",
    "o_k@example.org": "mail",
    "+49 151 23456789": "phone",
    "+1 (415) 555-2671": "phone",
    "+442079460958": "phone",
    "(415) 555-2671": "phone",
    "415-555-2671": "phone",
    "030 1234567": "phone",
    "0171/1234567": "phone",
    "020 7946 0958": "phone",
    "4111 1111 1111 1111": "card",
    "4111-1111-1111-1111": "card",
    "5555555555554444": "card",
    "378282246310005": "card",
    "3782 822463 10005": "card",
    "6011111111111117": "card",
    "DE89 3704 0044 0532 0130 00": "iban",
    "GB82WEST12345698765432": "iban",
    "FR1420041010050500013M02606": "iban",
    "NO93 8601 1117 947": "iban",
    "536-22-8726": "national number",
    "AB 12 34 56 C": "national number",
    "86095742719": "national number",
    "86 095 742 719": "national number",
    "1 85 05 78 006 084 91": "national number",
    "2 69 05 2A 588 157 17": "national number",
    "12345678Z": "national number",
    "X1234567L": "national number",
}


@pytest.mark.parametrize("text", DATA)
def test_personal_data_is_masked_wherever_it_stands(text: str) -> None:
    for before, after in (("", ""), ("it is ", ", call"), ('{"value":"', '"}'), ("é: ", "\nnext"), ("(", ").")):
        masked = mask_personal(f"{before}{text}{after}")
        assert masked.text == f"{before}{MASK}{after}"
        assert masked.counts == {DATA[text]: 1}


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "1234567890123456",
        "GB82WEST12345698765433",
        "XX82WEST12345698765432",
        "000-12-3456",
        "900-12-3456",
        "86095742718",
        "12345678A",
        "1 85 05 78 006 084 92",
        "at 1732600000 and 1732600000123",
        "2024-11-26 20:05:11.123456 +0000",
        "2024-11-26T20:05:11+01:00",
        "550e8400-e29b-41d4-a716-446655440000",
        "192.168.100.200",
        "0.4111111111111111",
        "4111111111111111.5",
        "3f786850e387550fdab836ed7e6dc881de23001b",
        "user@localhost",
        "@decorator, a @ b.co",
        "version 2.10.3456",
        "position 52.5200066, 13.4049540",
    ],
)
def test_what_only_looks_like_personal_data_is_left(text: str) -> None:
    assert mask_personal(text).text == text


def test_a_card_number_behind_another_number_is_found() -> None:
    assert mask_personal("order 1234 4111 1111 1111 1111 of 2024").text == f"order 1234 {MASK} of 2024"
    assert mask_personal("2024 2025 4111 1111 1111 1111").text == f"2024 2025 {MASK}"


def test_an_iban_ends_where_its_country_says_whatever_follows() -> None:
    assert mask_personal("DE89 3704 0044 0532 0130 00 AND MORE").text == f"{MASK} AND MORE"


def test_only_the_kinds_that_are_asked_for_are_masked() -> None:
    text = "a@example.org, 4111 1111 1111 1111"
    assert mask_personal(text, ["card"]).text == f"a@example.org, {MASK}"
    assert mask_personal(text, []).text == text
    assert mask_personal(text).counts == {"mail": 1, "card": 1}


@settings(max_examples=50)
@given(st.text(max_size=200), st.sampled_from(sorted(DATA)), st.text(max_size=20))
def test_what_is_masked_has_nothing_to_mask_and_any_text_can_be(before: str, data: str, after: str) -> None:
    once = mask_personal(f"{before}\n{data}\n{after}")
    assert data not in once.text
    assert mask_personal(once.text).text == once.text
    assert set(once.counts) <= set(PERSONAL_KINDS)
