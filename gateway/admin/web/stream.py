"""Server-sent events that replace parts of a page as something goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from starlette.responses import StreamingResponse

T = TypeVar("T")

_BEAT_SECONDS = 10.0


def parts_response(parts: AsyncIterator[str]) -> StreamingResponse:
    """Each of `parts`, HTML with the id of what it replaces, then that this was all.

    In between a beat now and then, so that a connection that was lost is noticed at both ends.
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(parts), headers=headers, media_type="text/event-stream")


async def _events(parts: AsyncIterator[str]) -> AsyncIterator[str]:
    yield "retry: 1500\n\n"
    async for part in _beating(parts):
        if part is None:
            yield ": still here\n\n"
        else:
            lines = "".join(f"data: {line}\n" for line in part.splitlines() if line.strip())
            yield f"event: part\n{lines}\n"
    yield "event: end\ndata: done\n\n"


async def _beating(source: AsyncIterator[T]) -> AsyncIterator[T | None]:
    upcoming = asyncio.ensure_future(anext(source))
    try:
        while True:
            ready, _ = await asyncio.wait([upcoming], timeout=_BEAT_SECONDS)
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
