"""A tool as a model that ranks reads it."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence

from gateway.catalog.tool import ToolDefinition
from gateway.search.index.tool_card import ToolCard

_MAX_CHARACTERS = 4_000


def document_of(card: ToolCard) -> str:
    """Server, name, title, description and parameters with their descriptions, on one line of at most 4,000 characters.

    It has no lone surrogates, which have no UTF-8 form.
    """
    tool = ToolDefinition(card.name, f'{{"inputSchema":{card.input_schema_json}}}', b"")
    parameters = [f"{name} ({text})" if text else name for name, text in tool.parameters]
    title = f" ({card.title})" if card.title and card.title != card.name else ""
    text = f"{card.server}: {card.name}{title}. {card.description}"
    if parameters:
        text += f" Parameters: {', '.join(parameters)}"
    return one_line(text)[:_MAX_CHARACTERS]


def one_line(text: str) -> str:
    """`text` without breaks and runs of blanks, in characters that UTF-8 has."""
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def quote_together(texts: Sequence[str], most_bytes: int) -> list[str]:
    """`texts` quoted, the longest of them cut to one length, so that all together take at most `most_bytes` as UTF-8.

    Quotes alone take two bytes a text.
    """
    sizes = [_quoted_size(text) for text in texts]
    left, longest = most_bytes, most_bytes
    for place, size in enumerate(sorted(sizes)):
        # What the short ones leave is shared among the longer ones.
        share = left // (len(sizes) - place)
        if size > share:
            longest = share
            break
        left -= size
    return [quoted(text if size <= longest else _cut(text, longest)) for text, size in zip(texts, sizes, strict=True)]


def _cut(text: str, quoted_bytes: int) -> str:
    """The longest beginning of `text` that takes at most so many bytes quoted; marks take more than they are long."""
    lengths = range(1, len(text) + 1)
    return text[: bisect_right(lengths, quoted_bytes, key=lambda length: _quoted_size(text[:length]))]


def _quoted_size(text: str) -> int:
    return len(quoted(text).encode())


def quoted(text: str) -> str:
    """`text` as a JSON string in which nothing can be taken for the marks by which models tell roles apart."""
    return json.dumps(text, ensure_ascii=False).replace("<", "\\u003c").replace("[", "\\u005b")
