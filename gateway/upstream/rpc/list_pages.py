"""Lists that come in pages."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from gateway.errors import TooDeepError, UpstreamProtocolError, UpstreamReplyError, UpstreamTimeoutError
from gateway.json_codec import Message, encode
from gateway.upstream.request import UpstreamRequest

_MAX_PAGES = 1_000
_MAX_ITEMS = 100_000


SendRequest: TypeAlias = Callable[[UpstreamRequest], Awaitable[Message]]


@dataclass(frozen=True, slots=True)
class Listing:
    """The items of all pages, in the server's order. `note` says in a sentence what was odd about the pages."""

    items: list[Any]
    note: str = ""


async def list_pages(server: str, send: SendRequest, method: str, key: str, seconds: float) -> Listing:
    """What is under `key` of all pages of `method`, within `seconds`.

    The list ends where a page has no cursor, names one that was followed already, or brings nothing but what was listed
    before; an empty cursor is followed once, for it means the end to some servers and a page to others.
    Raises UpstreamProtocolError for a page without a list under `key`, and for lists that do not end within 1,000 pages
    or 100,000 items; UpstreamTimeoutError; and what `send` raises.
    """
    deadline = time.monotonic() + seconds
    pages = _Pages()
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        left = deadline - time.monotonic()
        if left <= 0:
            raise UpstreamTimeoutError(
                server, f"Server {server} did not finish {method} within {seconds:.3g} s; try again later."
            )
        params: Message = {} if cursor is None else {"cursor": cursor}
        try:
            page = await send(UpstreamRequest(method, params, timeout=left))
        except UpstreamReplyError:
            if cursor != "":
                raise
            return Listing(pages.items)
        part = page.get(key)
        if not isinstance(part, list):
            raise UpstreamProtocolError(
                server, f"Server {server} answered {method} without a list of {key}; update it."
            )
        brought = pages.add(part)
        following = page.get("nextCursor")
        if following is None or (cursor == "" and not brought):
            return Listing(pages.items)
        if not isinstance(following, str):
            note = f"{method} names a cursor that is no text; what it listed up to there is taken as all."
            return Listing(pages.items, note)
        if following in pages.cursors or (part and not brought):
            if following == "":
                return Listing(pages.items)
            note = f"The pages of {method} repeat themselves; what they listed up to there is taken as all."
            return Listing(pages.items, note)
        if len(pages.items) > _MAX_ITEMS:
            break
        pages.cursors.add(following)
        cursor = following
    raise UpstreamProtocolError(server, f"Server {server} answers {method} with pages that do not end; update it.")


class _Pages:
    """What was listed so far, and which cursors were followed for it."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.cursors: set[str] = set()
        self._known: set[bytes] = set()
        self._recognized = 0

    def add(self, part: Sequence[Any]) -> int:
        """Add those items of a page that no page before had. Returns how many."""
        if not self.items:
            self.items += part
            return len(part)
        for item in self.items[self._recognized :]:
            with suppress(TooDeepError):
                self._known.add(encode(item))
        self._recognized = len(self.items)
        fresh = [item for item in part if not self._knows(item)]
        self.items += fresh
        return len(fresh)

    def _knows(self, item: object) -> bool:
        try:
            return encode(item) in self._known
        except TooDeepError:
            return False
