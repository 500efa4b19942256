"""Server-sent events that replace fragments of a page as something goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from starlette.responses import StreamingResponse

T = TypeVar("T")

_HEARTBEAT_SECONDS = 10.0


def fragment_stream(fragments: AsyncIterator[str]) -> StreamingResponse:
    """Each of `fragments`, HTML with the id of what it replaces, then that this was all.

    In between a heartbeat now and then, so that a connection that was lost is noticed at both ends.
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(fragments), headers=headers, media_type="text/event-stream")


def row_stream(rows: AsyncIterator[str]) -> StreamingResponse:
    """Each of `rows`, HTML of table rows that go before those that are there; without an end of its own."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(rows, "rows"), headers=headers, media_type="text/event-stream")


async def _events(fragments: AsyncIterator[str], name: str = "fragment") -> AsyncIterator[str]:
    yield "retry: 1500\n\n"
    async for fragment in _with_heartbeats(fragments):
        if fragment is None:
            yield ": still here\n\n"
        else:
            lines = "".join(f"data: {line}\n" for line in fragment.splitlines() if line.strip())
            yield f"event: {name}\n{lines}\n"
    yield "event: end\ndata: done\n\n"


async def _with_heartbeats(source: AsyncIterator[T]) -> AsyncIterator[T | None]:
    upcoming = asyncio.ensure_future(anext(source))
    try:
        while True:
            ready, _ = await asyncio.wait([upcoming], timeout=_HEARTBEAT_SECONDS)
            if not ready:
                yield None
                continue
            try:
                item = upcoming.result()
            except StopAsyncIteration:
                return
            yield item
            upcoming = asyncio.ensure_future(anext(source))
    finally:
        upcoming.cancel()
