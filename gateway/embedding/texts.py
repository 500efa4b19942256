"""Texts as an embedder is given them."""

from __future__ import annotations

# Models answer an empty text with nothing, NaN or an error; a fixed word gives it a harmless vector instead.
EMPTY = "empty"


def readable(text: str, max_chars: int) -> str:
    """`text` cut to `max_chars`, never empty, and without lone surrogates, which have no UTF-8 form."""
    kept = text[:max_chars].encode("utf-8", "replace").decode("utf-8")
    return kept if kept.strip() else EMPTY
