"""The category that an embedder finds for a tool: the one of which a description is nearest to the tool's text."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.database.connection import DatabaseConnection
from gateway.embedding.embedder import EmbeddedTexts, Vectors

_DESCRIPTIONS = {
    "messaging": (
        "Send, read and search messages, emails and chats",
        "Post a notification to a Slack or Discord channel, send an SMS",
    ),
    "file-system": (
        "Read, write, move and list files and directories on disk",
        "Get the size, tree or contents of a folder path",
        "Make line-based edits to a text file and show a git-style diff",
        "Compress, upload or download a file",
    ),
    "database": (
        "Run a SQL query against a database and describe its tables",
        "Insert, update or delete rows and records in a table or collection",
    ),
    "api": (
        "Send an HTTP request with method, headers and body to a REST or GraphQL API endpoint",
        "Call a webhook of an external service",
    ),
    "git": (
        "Commit, branch, merge, diff and show the log of a git repository",
        "Create an issue or pull request on GitHub or GitLab",
    ),
    "calendar": (
        "Create, move and list calendar events, meetings and appointments",
        "Find a free time slot in somebody's schedule",
    ),
    "shell": (
        "Run a shell command or script in a terminal",
        "Start, list and kill processes of the operating system",
    ),
    "search": (
        "Search the web and read web pages",
        "Look up documentation, articles and knowledge about a topic",
        "Read a paper, its abstract, sections and citations",
    ),
    # What belongs nowhere else has to be described too, or it goes to whatever happens to be nearest.
    "other": (
        "Do arithmetic and convert units",
        "Get the current time in a time zone",
        "Tell the weather forecast",
        "Store and recall memories, entities and relations of a knowledge graph",
        "Click, type and take screenshots in a browser",
        "Create or edit an image, a chart or a document",
        "Echo a message or demonstrate a feature of a protocol for testing",
        "Get the price of a stock",
        "Think through a problem step by step",
        "Ask the user for information or a confirmation",
        "Show settings and environment of a server",
        "Look up users and accounts",
    ),
}
CATEGORY_TEXTS = tuple(text for texts in _DESCRIPTIONS.values() for text in texts)
"""What categories are described by, embedded once in each space."""

_CATEGORY_OF = tuple(category for category, texts in _DESCRIPTIONS.items() for _ in texts)

EmbedEach = Callable[[Sequence[str], float], Awaitable[EmbeddedTexts]]


@dataclass(frozen=True, slots=True)
class _Descriptions:
    """Vectors of the descriptions in one space, float32 (n, d), and the category that each is of."""

    vectors: NDArray[np.float32]
    categories: tuple[str, ...]


class CategoryProposals:
    """Proposes categories in any space; the descriptions are embedded once in each, whoever needs them first."""

    def __init__(self) -> None:
        self._descriptions: dict[int, _Descriptions | None] = {}
        self._lock = asyncio.Lock()

    async def prepare(self, space_id: int, embed_each: EmbedEach) -> int:
        """Embed the descriptions in a space, where that was not done; returns how many texts were embedded for that.

        Without descriptions nothing is proposed; where the embedder failed, it is asked again the next time.
        """
        if space_id in self._descriptions:
            return 0
        async with self._lock:
            if space_id in self._descriptions:
                return 0
            embedded = await embed_each(CATEGORY_TEXTS, math.inf)
            if embedded.failure is None:
                self._descriptions[space_id] = _described(embedded)
            return len(embedded.vectors) + len(embedded.refused)

    async def write(
        self, transaction: DatabaseConnection, tenant_id: int, space_id: int, vectors: Mapping[int, Vectors]
    ) -> None:
        """Write what is proposed for tools (by id) with these vectors of their combined texts, float32 (d,).

        A proposal is taken over where `propose_categories` says so.
        """
        descriptions = self._descriptions.get(space_id)
        if descriptions is None or not vectors:
            return
        nearest = np.argmax(np.stack(list(vectors.values())) @ descriptions.vectors.T, axis=1)
        proposed = [descriptions.categories[place] for place in nearest]
        await transaction.execute("propose_categories", tenant_id, list(vectors), proposed)


def _described(embedded: EmbeddedTexts) -> _Descriptions | None:
    """What tools are compared with; None where a category would be left without any description: its tools would all
    go to others.
    """
    categories = tuple(_CATEGORY_OF[place] for place in embedded.vectors)
    if set(categories) != set(_CATEGORY_OF):
        return None
    return _Descriptions(np.stack(list(embedded.vectors.values())), categories)
