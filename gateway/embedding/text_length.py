"""How many tokens a text has, where its model's tokenizer is not at hand: estimated by script, and rather too many.

The weights are those of WordPiece and byte-pair tokenizers of embedding models: a word of English is a token for each
three to four letters, a sign of punctuation one, a Chinese character one, an emoji up to four. Code and base64 come out
higher than prose, as their tokens are shorter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# First code point of each range, and tokens for a character of it; up to the next range.
_RANGES: tuple[tuple[int, float], ...] = (
    (0x0, 1.0),
    (0x9, 0.0),
    (0xE, 1.0),
    (ord(" "), 0.0),
    (ord("!"), 1.0),
    (ord("0"), 0.75),
    (ord(":"), 1.0),
    (ord("A"), 0.8),
    (ord("["), 1.0),
    (ord("a"), 0.3),
    (ord("{"), 1.0),
    (0xC0, 1.0),
    (0x370, 1.1),
    (0x900, 1.5),
    (0x1E00, 1.0),
    (0x2000, 1.5),
    (0x3040, 1.1),
    (0x3100, 1.1),
    (0x3400, 1.1),
    (0xA000, 1.5),
    (0xAC00, 2.0),
    (0xD800, 1.5),
    (0xF900, 1.1),
    (0xFB00, 1.5),
    (0x10000, 4.0),
)
_STARTS = np.array([start for start, _ in _RANGES], np.uint32)
_TOKENS = np.array([tokens for _, tokens in _RANGES])
# A cut goes back so far, at most, to end with a word.
_WORD_CHARACTERS = 40

# Tokenizers are quadratic in what has no blank. Scripts that write without blanks are split sign by sign all the same.
_RUN = re.compile(r"[^\s\u2e80-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]{101,}")
_BREAK_AFTER, _SENT_OF_RUN = 100, 300


@dataclass(frozen=True, slots=True)
class FittedText:
    """A text as it is sent: `tokens` estimated, and whether anything of it was cut off."""

    text: str
    tokens: int
    is_cut: bool


def estimate_tokens(text: str) -> int:
    """About how many tokens `text` has, rather too many; 0 for an empty one."""
    return int(np.ceil(_tokens_by_character(text).sum()))


def fit_text(text: str, max_tokens: int) -> FittedText:
    """`text` with its runs broken, cut after a word where it may have more than `max_tokens`."""
    broken, is_cut = _break_runs(text)
    # No text has more characters than so many for a token, and a long one is not to be measured whole.
    window = broken[: max_tokens * 16]
    tokens = np.cumsum(_tokens_by_character(window))
    fitting = int(np.searchsorted(tokens, max_tokens, "right"))
    if fitting >= len(broken):
        return FittedText(broken, int(np.ceil(tokens[-1])) if len(tokens) else 0, is_cut)
    kept = _end_with_word(window, fitting)
    return FittedText(kept, estimate_tokens(kept), True)


def shorten_text(text: str, share: float) -> str:
    """The first `share` of a text, 0 to 1, to the end of a word."""
    return _end_with_word(text, int(len(text) * share))


def _end_with_word(text: str, length: int) -> str:
    if length >= len(text):
        return text
    if text[length].isspace():
        return text[:length]
    head = text[:length]
    start = max(length - _WORD_CHARACTERS, 1)
    blank = max(head.rfind(" ", start), head.rfind("\n", start))
    return head[:blank] if blank > 0 else head


def _break_runs(text: str) -> tuple[str, bool]:
    """Long runs without a blank, broken and cut; and whether any was cut."""
    cut = False

    def shorter(match: re.Match[str]) -> str:
        nonlocal cut
        run = match[0]
        cut = cut or len(run) > _SENT_OF_RUN
        sent = run[:_SENT_OF_RUN]
        return " ".join(sent[start : start + _BREAK_AFTER] for start in range(0, len(sent), _BREAK_AFTER))

    return _RUN.sub(shorter, text), cut


def _tokens_by_character(text: str) -> NDArray[np.float64]:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    tokens: NDArray[np.float64] = _TOKENS[np.searchsorted(_STARTS, codes, "right") - 1]
    return tokens
