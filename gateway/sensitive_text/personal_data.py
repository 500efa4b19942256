"""Personal data, told by its form and, where it has one, by its checksum."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from gateway.linear_pattern import LinearPattern
from gateway.sensitive_text.checksums import (
    iban_length,
    is_card_number,
    is_french_social_security_number,
    is_german_tax_number,
    is_iban,
    is_spanish_identity_number,
    is_uk_national_insurance_number,
    is_us_social_security_number,
)
from gateway.sensitive_text.masked import Masked, TextSpan, mask_spans

PERSONAL_KINDS = ("mail", "phone", "card", "iban", "national number")
"""Kinds of personal data that are looked for."""

_NOT_DIGITS = re.compile(r"\D")
_MAX_LOCAL_PART = 64
# A card number may stand right behind other groups of four digits, the first of which are taken for its own then.
_GROUPS = 4
_LONGEST = 40
_GROUP_CHARACTERS = 5


@dataclass(frozen=True, slots=True)
class _DataPattern:
    """What a kind of data looks like, and how much of a match is really that: a length, 0 where it is not."""

    kind: str
    pattern: str
    measure: Callable[[str], int]


def _all(check: Callable[[str], bool]) -> Callable[[str], int]:
    """The whole of a match, where `check` holds for it without what separates its parts."""
    return lambda text: len(text) if check(re.sub(r"[ \u00a0.-]", "", text)) else 0


def _digits(check: Callable[[str], bool]) -> Callable[[str], int]:
    return lambda text: len(text) if check(_NOT_DIGITS.sub("", text)) else 0


def _iban(text: str) -> int:
    """An IBAN at the beginning of a text that goes on with anything."""
    length = iban_length(text[:2])
    if length is None:
        return 0
    compact = ""
    for end, character in enumerate(text, 1):
        if character not in " \u00a0":
            compact += character
        if len(compact) == length:
            goes_on = text[end : end + 1].isalnum()
            return end if not goes_on and is_iban(compact) else 0
    return 0


def _mail(text: str) -> int:
    local, _, domain = text.partition("@")
    return len(text) if len(local) <= _MAX_LOCAL_PART and len(domain) <= 255 else 0


def _phone(text: str) -> int:
    return len(text) if 8 <= len(_NOT_DIGITS.sub("", text)) <= 15 else 0


_SPACE = r"[ \x{a0}]"
_SEPARATOR = r"[ \x{a0}-]"
_GROUPED_CARD = _DataPattern(
    "card",
    rf"\b[2-6]\d{{3}}{_SEPARATOR}\d{{4}}{_SEPARATOR}\d{{4}}{_SEPARATOR}\d{{4}}(?:{_SEPARATOR}\d{{3}})?\b"
    rf"|\b3\d{{3}}{_SEPARATOR}\d{{6}}{_SEPARATOR}\d{{4,5}}\b",
    _digits(is_card_number),
)
_FORMS = (
    _DataPattern("mail", r"[A-Za-z0-9_%+][A-Za-z0-9._%+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}", _mail),
    _DataPattern("iban", rf"\b[A-Z]{{2}}\d{{2}}(?:{_SPACE}?[A-Z0-9]){{11,32}}", _iban),
    _DataPattern(
        "card",
        r"\b(?:4\d{12}(?:\d{3}(?:\d{3})?)?|(?:5[1-5]|2[2-7]|35|6[0245])\d{14}|6\d{18}|3[47]\d{13}|3[068]\d{12})\b",
        _all(is_card_number),
    ),
    _GROUPED_CARD,
    _DataPattern(
        "national number",
        rf"\b[12]{_SPACE}?\d\d{_SPACE}?\d\d{_SPACE}?(?:\d\d|2[AB]){_SPACE}?\d{{3}}{_SPACE}?\d{{3}}{_SPACE}?\d\d\b",
        _all(is_french_social_security_number),
    ),
    _DataPattern("national number", r"\b\d{3}[- ]\d{2}[- ]\d{4}\b", _digits(is_us_social_security_number)),
    _DataPattern(
        "national number",
        rf"\b[A-CEGHJ-PR-TW-Z]{{2}}{_SPACE}?\d\d{_SPACE}?\d\d{_SPACE}?\d\d{_SPACE}?[A-D]\b",
        _all(is_uk_national_insurance_number),
    ),
    _DataPattern(
        "national number",
        rf"\b[1-9]\d{_SPACE}?\d{{3}}{_SPACE}?\d{{3}}{_SPACE}?\d{{3}}\b",
        _digits(is_german_tax_number),
    ),
    _DataPattern("national number", r"\b(?:\d{8}|[XYZ]-?\d{7})-?[A-HJ-NP-TV-Z]\b", _all(is_spanish_identity_number)),
    _DataPattern("phone", r"\+[1-9](?:[ \x{a0}().\-/]{0,2}\d){7,14}", _phone),
    _DataPattern("phone", r"\(\d{3}\)[ \x{a0}]?\d{3}[-. ]\d{4}\b|\b[2-9]\d{2}[-.][2-9]\d{2}[-.]\d{4}\b", _phone),
    _DataPattern("phone", r"\b0(?:0[1-9]\d{0,2}[ \-/]\d{1,4}|[1-9]\d{1,4})[ \-/]\d{3,8}(?:[ -]\d{2,5}){0,3}\b", _phone),
)
_ANY = LinearPattern("|".join(form.pattern for form in _FORMS))
_GROUPED_CARD_PATTERN = LinearPattern(_GROUPED_CARD.pattern)
_PATTERNS = tuple((form, LinearPattern(form.pattern)) for form in _FORMS)


def holds_personal(text: str) -> bool:
    """Whether `text` holds personal data."""
    return next(find_personal(text), None) is not None


def mask_personal(text: str, kinds: Collection[str] = PERSONAL_KINDS) -> Masked:
    """`text` without the personal data of these kinds in it, in time linear in it."""
    return mask_spans(text, (span for span in find_personal(text) if span.kind in kinds))


def find_personal(text: str) -> Iterator[TextSpan]:
    """Where personal data stands in `text`, more or less from left to right; two may overlap."""
    for start, end in _ANY.matches_in(text):
        if _is_part_of_number(text, start, end):
            continue
        # Behind what only looks like one, or is longer than it, another may begin.
        yield from _find_in(text, start, end + _LONGEST)


def _find_in(text: str, start: int, stop: int) -> Iterator[TextSpan]:
    """What stands in a part of a text, which is a few times as long as the longest form."""
    part = text[start:stop]
    for form, pattern in _PATTERNS:
        for found, end in pattern.matches_in(part):
            is_cut = end == len(part) and text[stop : stop + 1].isalnum()
            if is_cut or _is_part_of_number(text, start + found, start + end):
                continue
            length = form.measure(part[found:end])
            if length:
                yield TextSpan(start + found, start + found + length, form.kind)
            elif form is _GROUPED_CARD:
                yield from _find_behind(text, start + found, start + end)


def _find_behind(text: str, start: int, end: int) -> Iterator[TextSpan]:
    """The card number that begins within what looks like one and is none."""
    for skipped in range(start + _GROUP_CHARACTERS, start + _GROUPS * _GROUP_CHARACTERS, _GROUP_CHARACTERS):
        behind = text[skipped : skipped + end - start]
        found = _GROUPED_CARD_PATTERN.find(behind)
        if found is not None and found[0] == 0 and _GROUPED_CARD.measure(behind[: found[1]]):
            yield TextSpan(skipped, skipped + found[1], _GROUPED_CARD.kind)
            return


def _is_part_of_number(text: str, start: int, end: int) -> bool:
    """Whether the match is what stands before or behind the point of a longer number."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    return (text[start].isdigit() and len(before) == 2 and before[1] == "." and before[0].isdigit()) or (
        text[end - 1].isdigit() and len(after) == 2 and after[0] == "." and after[1].isdigit()
    )
