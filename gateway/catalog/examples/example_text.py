"""The text of an example: what is kept of it, and when two are the same."""

from __future__ import annotations

import unicodedata

from gateway.errors import InvalidInputError
from gateway.sensitive_text.personal_data import mask_personal
from gateway.sensitive_text.secrets import mask_secrets

MAX_CHARACTERS = 300
"""Of one example."""


# Letters and marks that are not displayed (Default_Ignorable_Code_Point of Unicode), beside the format characters.
_NOT_SEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0") | frozenset(
    chr(code) for code in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
)
# What is masked may begin before the end of what is kept.
_READ_CHARACTERS = 4 * MAX_CHARACTERS


def example_text(text: str) -> str:
    """The first 300 characters of `text` on one line, without secrets and personal data, and without what cannot be
    seen or stored; empty where that leaves nothing that says anything.
    """
    cleaned = _clean(clip_text(text))[:MAX_CHARACTERS].strip()
    return cleaned if text_key(cleaned) else ""


def clip_text(text: str) -> str:
    """What `example_text` reads of `text`: its beginning on one line, without a word that is cut. Of a secret that is
    cut nothing tells that it is one, and it may come to stand in what is kept, as what is before it gets shorter.
    """
    line = _one_line(text)
    if len(line) <= _READ_CHARACTERS:
        return line
    whole, _, cut = line[: _READ_CHARACTERS + 1].rpartition(" ")
    return whole or cut


def _one_line(text: str) -> str:
    """`text` as it is seen: a secret with characters of no width in it, or in letters of full width, is one still."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    return " ".join("".join(map(_as_seen, unicodedata.normalize("NFKC", text))).split())


def _as_seen(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf" or character in _NOT_SEEN:
        return ""
    return " " if category in ("Cc", "Cs", "Co", "Cn") else character


def _clean(text: str) -> str:
    return mask_personal(mask_secrets(_one_line(text)).text).text


def check_text(text: str) -> str:
    """`text` as it is kept. Raises InvalidInputError for one that says nothing, or too much."""
    cleaned = _clean(text)
    if not text_key(cleaned):
        raise InvalidInputError(
            "An example needs a letter or a digit; say in words what the tool is wanted for.", "text"
        )
    if len(cleaned) > MAX_CHARACTERS:
        raise InvalidInputError(
            f"An example has {MAX_CHARACTERS} characters at most, this one has {len(cleaned)}; say it shorter.", "text"
        )
    return cleaned


def text_key(text: str) -> str:
    """What two texts share that differ in case, marks and blanks alone; empty for one without a letter or digit."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(each if each.isalnum() else " " for each in folded).split())
