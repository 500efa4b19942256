"""The clauses of a task: what a long query asks for, step by step."""

from __future__ import annotations

import re

# A run is not read again from each of its characters, which takes long for a long one.
_BREAKS = re.compile(r"[.;!?\n]\s+|,\s+(?:and |then |or )?|\s{1,20}(?:and then|and|then)\s+|[。；！？、]")
_FEWEST_WORDS = 2
_MOST_CLAUSES = 8


def clauses_of(query: str) -> tuple[str, ...]:
    """The clauses of `query`, at most eight, in their order; empty where it has fewer than two.

    What is shorter than two words says nothing by itself and is left out.
    """
    parts = (part.strip(" \t\n.,;!?") for part in _BREAKS.split(query))
    clauses = tuple(part for part in parts if len(part.split()) >= _FEWEST_WORDS)[:_MOST_CLAUSES]
    return clauses if len(clauses) > 1 else ()
