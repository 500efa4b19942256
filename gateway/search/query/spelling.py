"""What may have been meant by a word that no tool knows: the words that are one typing error away."""

from __future__ import annotations

import string

_SHORTEST, _LONGEST = 5, 24


def is_correctable(word: str) -> bool:
    """Whether `near_misses` has any for `word`: a short one may be anything, and a very long one is no word."""
    return _SHORTEST <= len(word) <= _LONGEST and word.isascii() and word.isalpha()


def near_misses(word: str) -> set[str]:
    """All that one error makes of `word`, which is in lower case; of a short one, or one that is no word, nothing.

    An error is a letter too many, too few, another one, or two in the wrong order. The first letter is taken to be
    right: it is where people look.
    """
    if not is_correctable(word):
        return set()
    near: set[str] = set()
    for place in range(1, len(word) + 1):
        before, after = word[:place], word[place:]
        near.update([before + letter + after for letter in string.ascii_lowercase])
        if after:
            near.update([before + letter + after[1:] for letter in string.ascii_lowercase])
            near.add(before + after[1:])
        if len(after) > 1:
            near.add(before + after[1] + after[0] + after[2:])
    near.discard(word)
    return near
