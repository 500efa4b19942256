"""Calls and searches of clients, the last ones and those to come."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from gateway.admin.request_input import type_adapter
from gateway.admin.rest.operation import EVENT_STREAM, RestContext, operation
from gateway.admin.services.calls import CallFilter, CallPage, CallRecord, FollowFilter


@operation("GET", "/calls")
async def list_calls(context: RestContext, query: CallFilter) -> CallPage:
    """List calls and searches, newest first, with arguments, errors and heads of results as far as they are kept."""
    return await context.services.calls.list(context.tenant.id, query)


@operation("GET", "/calls/events", returns=CallRecord, media=(EVENT_STREAM,))
async def follow_calls(context: RestContext, query: FollowFilter) -> Response:
    """Follow calls and searches as they are recorded.

    Each event is named call and its data is a CallRecord as JSON; there is no end.
    """
    calls = context.services.calls.follow(context.tenant.id, query)

    async def events() -> AsyncIterator[bytes]:
        yield b"retry: 1500\n\n"
        async for batch in calls:
            for call in batch:
                yield b"event: call\ndata: " + type_adapter(CallRecord).dump_json(call) + b"\n\n"

    return StreamingResponse(events(), headers={"Cache-Control": "no-store"}, media_type=EVENT_STREAM)


OPERATIONS = (list_calls, follow_calls)
