"""Whether a query is in a script that a model of English can read."""

from __future__ import annotations

# Latin letters, with those of all European languages, and Vietnamese.
_LATIN_RANGES = ((0x0041, 0x024F), (0x1E00, 0x1EFF))


def is_latin(query: str) -> bool:
    """Whether at least half of the letters of `query` are Latin; true of one without letters."""
    if query.isascii():
        return True
    letters = [character for character in query if character.isalpha()]
    latin = sum(any(first <= ord(letter) <= last for first, last in _LATIN_RANGES) for letter in letters)
    return 2 * latin >= len(letters)
