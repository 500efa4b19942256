"""Lists in pages, from servers that take cursors their own way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.errors import UpstreamProtocolError, UpstreamReplyError
from gateway.json_codec import Message
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.rpc.list_pages import Listing, list_pages

Page = tuple[list[Any], object]


class Pages:
    """Answers with the page of each cursor, None for the first; `asked` are the cursors that came."""

    def __init__(self, pages: Mapping[str | None, Page]) -> None:
        self.pages = pages
        self.asked: list[str | None] = []

    async def send(self, request: UpstreamRequest) -> Message:
        cursor = (request.params or {}).get("cursor")
        self.asked.append(cursor)
        if cursor not in self.pages:
            raise UpstreamReplyError("Paged", -32602, "Invalid cursor")
        items, following = self.pages[cursor]
        return {"tools": items, **({} if following is None else {"nextCursor": following})}

    async def list(self) -> Listing:
        return await list_pages("Paged", self.send, "tools/list", "tools", 10)


@pytest.mark.parametrize(
    ("pages", "items", "asked", "repeats"),
    [
        ({None: ([1], "a"), "a": ([2], "b"), "b": ([3], None)}, [1, 2, 3], [None, "a", "b"], False),
        # The last page repeats the cursor that led to it, or one before.
        ({None: ([1], "a"), "a": ([2], "a")}, [1, 2], [None, "a"], True),
        ({None: ([1], "a"), "a": ([2], "b"), "b": ([3], "a")}, [1, 2, 3], [None, "a", "b"], True),
        # Whatever the cursor, it is the first page.
        ({None: ([1, 2], "a"), "a": ([1, 2], "a")}, [1, 2], [None, "a"], True),
        ({None: ([1, 2], "a"), "a": ([1, 2], "b"), "b": ([1, 2], "c")}, [1, 2], [None, "a"], True),
        # An empty cursor is the end, a page, or the first page again.
        ({None: ([1], "")}, [1], [None, ""], False),
        ({None: ([1], ""), "": ([2], None)}, [1, 2], [None, ""], False),
        ({None: ([1], ""), "": ([2], "")}, [1, 2], [None, ""], False),
        ({None: ([1], ""), "": ([1], "")}, [1], [None, ""], False),
        ({None: ([1], ""), "": ([1], None)}, [1], [None, ""], False),
        ({None: ([1], ""), "": ([], "")}, [1], [None, ""], False),
        ({None: ([1], ""), "": ([2], "a"), "a": ([3], None)}, [1, 2, 3], [None, "", "a"], False),
        ({None: ([1], "a"), "a": ([2], "")}, [1, 2], [None, "a", ""], False),
        # An empty page in the midst is no end.
        ({None: ([1], "a"), "a": ([], "b"), "b": ([2], None)}, [1, 2], [None, "a", "b"], False),
        ({None: ([], None)}, [], [None], False),
        ({None: ([1], 7)}, [1], [None], True),
        # Within a page every item is the server's own business.
        ({None: ([1, 1], "a"), "a": ([2, 2], None)}, [1, 1, 2, 2], [None, "a"], False),
    ],
)
async def test_what_was_listed_is_kept(
    pages: Mapping[str | None, Page], items: list[int], asked: list[str | None], repeats: bool
) -> None:
    server = Pages(pages)
    listing = await server.list()
    assert (listing.items, server.asked) == (items, asked)
    assert bool(listing.note) == repeats


async def test_a_list_with_new_items_on_a_thousand_pages_is_an_error() -> None:
    server = Pages({None: ([0], "1"), **{str(number): ([number], str(number + 1)) for number in range(1, 1_100)}})
    with pytest.raises(UpstreamProtocolError, match="pages that do not end"):
        await server.list()
    assert len(server.asked) == 1_000


async def test_a_cursor_that_is_refused_is_an_error() -> None:
    with pytest.raises(UpstreamReplyError):
        await Pages({None: ([1], "a")}).list()
