"""What may have been meant by a word that no tool knows: the words that are one typing error away."""

from __future__ import annotations

import string
from collections.abc import Iterator

_SHORTEST, _LONGEST = 5, 24


def near_misses(word: str) -> Iterator[str]:
    """All that one error makes of `word`, which is in lower case; of a short one, or one that is no word, nothing.

    An error is a letter too many, too few, another one, or two in the wrong order. The first letter is taken to be
    right: it is where people look.
    """
    if not (_SHORTEST <= len(word) <= _LONGEST and word.isascii() and word.isalpha()):
        return
    for place in range(1, len(word) + 1):
        before, after = word[:place], word[place:]
        for letter in string.ascii_lowercase:
            yield before + letter + after
            if after and letter != after[0]:
                yield before + letter + after[1:]
        if after:
            yield before + after[1:]
        if len(after) > 1 and after[0] != after[1]:
            yield before + after[1] + after[0] + after[2:]
