"""Lists that come in pages."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from gateway.errors import UpstreamProtocolError, UpstreamTimeoutError
from gateway.json_codec import Message
from gateway.upstream.request import UpstreamRequest

_MAX_PAGES = 1_000
_MAX_ITEMS = 100_000


SendRequest: TypeAlias = Callable[[UpstreamRequest], Awaitable[Message]]


async def list_pages(server: str, send: SendRequest, method: str, key: str, seconds: float) -> list[Any]:
    """The items under `key` of all pages of `method`, in the server's order, within `seconds`.

    Raises UpstreamProtocolError for a page without a list under `key`, for a cursor that comes twice, and for lists
    that do not end within 1,000 pages or 100,000 items; UpstreamTimeoutError; and what `send` raises.
    """
    deadline = time.monotonic() + seconds
    items: list[Any] = []
    seen: set[str] = set()
    params: Message = {}
    for _ in range(_MAX_PAGES):
        left = deadline - time.monotonic()
        if left <= 0:
            raise UpstreamTimeoutError(
                server, f"Server {server} did not finish {method} within {seconds:.3g} s; try again later."
            )
        page = await send(UpstreamRequest(method, params, timeout=left))
        part = page.get(key)
        if not isinstance(part, list):
            raise UpstreamProtocolError(
                server, f"Server {server} answered {method} without a list of {key}; update it."
            )
        items += part
        cursor = page.get("nextCursor")
        if cursor is None or cursor == "":
            return items
        if not isinstance(cursor, str) or cursor in seen or len(items) > _MAX_ITEMS:
            break
        seen.add(cursor)
        params = {"cursor": cursor}
    raise UpstreamProtocolError(server, f"Server {server} answers {method} with pages that do not end; update it.")
