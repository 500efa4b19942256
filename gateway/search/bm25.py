"""BM25: how much the words that a query shares with a tool count.

Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009. What a tool's words add up to is
computed where they are stored, by the statements in `search.sql`, which are given these constants.
"""

from __future__ import annotations

import math

K1 = 1.2
"""How soon a word that is repeated stops counting more."""

B = 0.75
"""How much a text that is longer than others is held against it, 0…1."""


def max_word_score(tool_count: int) -> float:
    """The most that one word can add: one that stands in a single tool of so many."""
    return (K1 + 1) * math.log(1 + (max(tool_count, 1) - 0.5) / 1.5)
