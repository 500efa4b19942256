"""Letters that look alike, and text as a reader sees it."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from functools import partial

# Letters of other scripts that look like Latin ones, after Unicode's table of confusables (UTS #39).
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕһԁԛԝьАВЕКМНОРСТХІЈЅҮԌӏαινορυχγτκΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijshdqwbABEKMHOPCTXIJSYGlaivopuxytkABEZHIKMNOPTYX",
)
# And Latin ones that look like others, which languages have in their own right.
_LATIN_LOOKALIKES = str.maketrans("ıɡɑⅼ", "igal")
_DIGITS = str.maketrans("013457$@", "oleastsa")
# In leet, 1 is an i as often as an l.
_LEET = (str.maketrans("013457$@", "oieastsa"), _DIGITS)
_LEET_SIGN = re.compile(r"[a-z][013457$@]|[013457$@][a-z]")
_LEET_WORD = re.compile(r"[a-z0-9$@]+")
# Hardly a sentence does without all of: the, and, to, of, all, you, your, me, this, before, any.
_ROT13_WORD = re.compile(r"\b(?:gur|naq|gb|bs|nyy|lbh|lbhe|zr|guvf|orsber|nal)\b")
_SINGLE_LETTERS = re.compile(r"(?<![^\W_])(?:[^\W_][-._*·~|/+]){2,}[^\W_](?![^\W_])")
_BETWEEN_WORDS = re.compile(r"(?<=[^\W_])[-_/.\\]+(?=[^\W_])")
_WORD = re.compile(r"[^\W\d_]+")
_LATIN = re.compile(r"[A-Za-z]")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\U000e0000-\U000e0fff]"
)
# Single letters with a space between each: eight of them are no list.
_SPACED_OUT = re.compile(r"(?:(?<!\w)\w[ \u3000]){8,}")


def is_disguised(word: str) -> bool:
    """Whether a word is Latin but for letters of other scripts that look Latin."""
    if word.isascii():
        return False
    latin = word.translate(_LOOKALIKES)
    return latin != word and len(word) >= 3 and latin.isascii() and _LATIN.search(word) is not None


def find_words(text: str) -> list[str]:
    """The words of a text: runs of letters."""
    return _WORD.findall(text)


def normalize_text(text: str) -> str:
    """`text` as a model understands it: without what is invisible, in plain lower-case letters, on one line."""
    seen = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    if not seen.isascii():
        seen = _WORD.sub(lambda word: word[0].translate(_LOOKALIKES) if is_disguised(word[0]) else word[0], seen)
    if _SPACED_OUT.search(seen):
        seen = re.sub(r"(?<=\w) (?=\w(?:\W|$))", "", seen)
    return re.sub(r"\s+", " ", seen).replace("’", "'").lower()


def iter_readings(text: str) -> Iterator[tuple[str, str]]:
    """A text as `normalize_text` gives it, and what else may be read in it, each with how it is disguised there.

    A disguise is a sentence, empty where there is none: accents and separators are common.
    """
    plain = normalize_text(text)
    yield plain, ""
    bare = _BETWEEN_WORDS.sub(" ", _without_accents(plain))
    if bare != plain:
        yield bare, ""
    joined = _SINGLE_LETTERS.sub(lambda run: "".join(filter(str.isalnum, run[0])), plain)
    for digits in _LEET if joined != plain or _LEET_SIGN.search(joined) else ():
        spelt = _LEET_WORD.sub(partial(_without_leet, digits), joined)
        if spelt != plain:
            yield spelt, " Its letters are written as other characters."
    if _ROT13_WORD.search(plain):
        yield codecs.encode(plain, "rot13"), " It is written in ROT13."


def _without_accents(text: str) -> str:
    """`text` in the letters that it looks like."""
    if text.isascii():
        return text
    parted = unicodedata.normalize("NFKD", text.translate(_LOOKALIKES).translate(_LATIN_LOOKALIKES))
    return "".join(character for character in parted if not unicodedata.combining(character))


def _without_leet(digits: dict[int, int], match: re.Match[str]) -> str:
    word = match[0]
    return word if word.isalpha() or word.isdecimal() else word.translate(digits)


def skeleton(name: str) -> str:
    """What a name looks like: two names with the same skeleton are taken for one another."""
    seen = unicodedata.normalize("NFKC", _INVISIBLE.sub("", name))
    seen = seen.translate(_LOOKALIKES).translate(_LATIN_LOOKALIKES)
    bare = unicodedata.normalize("NFKD", seen).encode("ascii", "ignore").decode()
    # A capital I passes for a small l before the case is lost.
    return re.sub(r"[^a-z]+", "", bare.replace("I", "l").lower().translate(_DIGITS)).replace("i", "l")


def normalize_name(name: str) -> str:
    """A name without case and separators, nothing else changed."""
    return re.sub(r"[\W_]+", "", name).lower()
