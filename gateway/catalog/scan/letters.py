"""Letters that look alike, and text as a reader sees it."""

from __future__ import annotations

import re
import unicodedata

# Letters of other scripts that look like Latin ones, after Unicode's table of confusables (UTS #39).
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕһԁԛԝьАВЕКМНОРСТХІЈЅҮԌӏαινορυχγτκΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijshdqwbABEKMHOPCTXIJSYGlaivopuxytkABEZHIKMNOPTYX",
)
# And Latin ones that look like others, which languages have in their own right.
_LATIN_LOOKALIKES = str.maketrans("ıɡɑⅼ", "igal")
_DIGITS = str.maketrans("013457$@", "oleastsa")
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
