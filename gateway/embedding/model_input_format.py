"""What known models expect of a text: the task prefixes they were trained with, and how much of it they read.

The prefixes are those of each model's own card. A model is known by its name alone, whichever server offers it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PASSAGES = "Represent this sentence for searching relevant passages: "
# Models that take any task as their instruction are told this one.
_FIND_TOOL = "Instruct: Given an agent's request for a tool, retrieve the tool that fulfils it\nQuery: "

# More of a tool tells nothing new, and costs time.
_MAX_TOKENS = 2_048


@dataclass(frozen=True, slots=True)
class ModelInputFormat:
    """The prefix of a document, the prefix of a query, and how many tokens the model reads, prefix included.

    `shortest_dimensions` is what its vectors can be cut to and still compare (Matryoshka); 0: they cannot be cut.
    """

    document_prefix: str = ""
    query_prefix: str = ""
    max_tokens: int = _MAX_TOKENS
    shortest_dimensions: int = 0


# The first pattern found in the name counts, so the narrower ones stand above.
_KNOWN: tuple[tuple[str, ModelInputFormat], ...] = (
    # Version 1 of nomic-embed-text cannot be cut, and only Hugging Face has it still.
    (r"nomic-embed-text-v1\b(?!\.)", ModelInputFormat("search_document: ", "search_query: ")),
    (r"nomic-embed-text-v2", ModelInputFormat("search_document: ", "search_query: ", 512, 256)),
    (r"nomic-embed-text", ModelInputFormat("search_document: ", "search_query: ", _MAX_TOKENS, 64)),
    (r"mxbai-embed-large", ModelInputFormat("", _PASSAGES, 512, 64)),
    (r"arctic-embed2|arctic-embed-.*v2", ModelInputFormat("", "query: ", _MAX_TOKENS, 256)),
    (r"arctic-embed", ModelInputFormat("", _PASSAGES, 512)),
    (r"\be5-.*instruct", ModelInputFormat("", _FIND_TOOL, 512)),
    (r"\be5-(small|base|large)", ModelInputFormat("passage: ", "query: ", 512)),
    (r"\bbge-(small|base|large)(?!-zh)", ModelInputFormat("", _PASSAGES, 512)),
    (r"\bbge-(small|base|large)-zh", ModelInputFormat("", "", 512)),
    (
        r"embeddinggemma",
        ModelInputFormat("title: none | text: ", "task: search result | query: ", _MAX_TOKENS, 128),
    ),
    (r"qwen3-embedding", ModelInputFormat("", _FIND_TOOL, _MAX_TOKENS, 32)),
    (r"text-embedding-3", ModelInputFormat(shortest_dimensions=64)),
    (r"gemini-embedding", ModelInputFormat(shortest_dimensions=128)),
    (r"all-minilm", ModelInputFormat("", "", 256)),
)


def input_format_for(model: str) -> ModelInputFormat:
    """What `model` expects, with or without an owner, a tag or a file name around it; no prefix for an unknown one."""
    name = model.lower()
    return next((form for pattern, form in _KNOWN if re.search(pattern, name)), ModelInputFormat())
