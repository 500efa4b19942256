"""What known models expect of a text: the task prefixes they were trained with, and how much of it they read.

The prefixes are those of each model's own card. A model is known by its name alone, whichever server offers it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PASSAGES = "Represent this sentence for searching relevant passages: "
_INSTRUCT = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "

# Characters of tool texts (English, identifiers, JSON) that surely fit; a token holds three of them or more.
_CHARS_OF_256_TOKENS = 800
_CHARS_OF_512_TOKENS = 1_500
_CHARS_OF_2048_TOKENS = 6_000
_CHARS_OF_8192_TOKENS = 8_000


@dataclass(frozen=True, slots=True)
class ModelInputFormat:
    """The prefix of a document, the prefix of a query, and how many characters of a text the model reads."""

    document_prefix: str = ""
    query_prefix: str = ""
    max_input_chars: int = _CHARS_OF_8192_TOKENS


# The first pattern found in the name counts, so the narrower ones stand above.
_KNOWN: tuple[tuple[str, ModelInputFormat], ...] = (
    (r"nomic-embed-text", ModelInputFormat("search_document: ", "search_query: ", _CHARS_OF_2048_TOKENS)),
    (r"mxbai-embed-large", ModelInputFormat("", _PASSAGES, _CHARS_OF_512_TOKENS)),
    (r"arctic-embed2|arctic-embed-.*v2", ModelInputFormat("", "query: ", _CHARS_OF_8192_TOKENS)),
    (r"arctic-embed", ModelInputFormat("", _PASSAGES, _CHARS_OF_512_TOKENS)),
    (r"\be5-.*instruct", ModelInputFormat("", _INSTRUCT, _CHARS_OF_512_TOKENS)),
    (r"\be5-(small|base|large)", ModelInputFormat("passage: ", "query: ", _CHARS_OF_512_TOKENS)),
    (r"\bbge-(small|base|large)(?!-zh)", ModelInputFormat("", _PASSAGES, _CHARS_OF_512_TOKENS)),
    (
        r"embeddinggemma",
        ModelInputFormat("title: none | text: ", "task: search result | query: ", _CHARS_OF_2048_TOKENS),
    ),
    (r"qwen3-embedding", ModelInputFormat("", _INSTRUCT, _CHARS_OF_8192_TOKENS)),
    (r"all-minilm", ModelInputFormat("", "", _CHARS_OF_256_TOKENS)),
)


def input_format_for(model: str) -> ModelInputFormat:
    """What `model` expects, with or without an owner, a tag or a file name around it; no prefix for an unknown one."""
    name = model.lower()
    return next((form for pattern, form in _KNOWN if re.search(pattern, name)), ModelInputFormat())
