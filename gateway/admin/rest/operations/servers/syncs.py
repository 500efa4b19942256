"""Syncs: started, followed as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from gateway.admin.request_input import type_adapter
from gateway.admin.rest.operation import EVENT_STREAM, RestContext, operation
from gateway.admin.services.servers.syncs import SyncJob


@operation("POST", "/servers/{server_id}/sync", status=202)
async def start_sync(context: RestContext, server_id: int) -> SyncJob:
    """Start a sync in the background, or join the one that runs."""
    return await context.services.syncs.start(context.tenant.id, server_id)


@operation("GET", "/servers/{server_id}/sync")
async def get_sync(context: RestContext, server_id: int) -> SyncJob:
    """Show how far the latest sync of a server is."""
    return context.services.syncs.get(context.tenant.id, server_id, context.principal)


@operation("GET", "/servers/{server_id}/sync/events", returns=SyncJob, media=(EVENT_STREAM,))
async def follow_sync(context: RestContext, server_id: int) -> Response:
    """Follow the sync of a server until it ends.

    Each event is named sync and its data is a SyncJob as JSON; after the last comes one named end.
    """
    context.services.syncs.get(context.tenant.id, server_id, context.principal)
    return event_stream(context.services.syncs.follow(context.tenant.id, context.principal, server_id))


@operation("POST", "/sync", status=202)
async def start_all_syncs(context: RestContext) -> list[SyncJob]:
    """Sync every server that is switched on."""
    return await context.services.syncs.start_all(context.tenant.id)


@operation("GET", "/sync")
async def list_syncs(context: RestContext) -> list[SyncJob]:
    """List the latest sync of each server that was synced from here."""
    return context.services.syncs.list(context.tenant.id, context.principal)


@operation("GET", "/sync/events", returns=SyncJob, media=(EVENT_STREAM,))
async def follow_all_syncs(context: RestContext) -> Response:
    """Follow every sync of the tenant until none of them runs; events as for one server."""
    return event_stream(context.services.syncs.follow(context.tenant.id, context.principal))


def event_stream(jobs: AsyncIterator[SyncJob]) -> StreamingResponse:
    """Server-sent events of syncs."""

    async def events() -> AsyncIterator[bytes]:
        async for job in jobs:
            yield b"event: sync\ndata: " + type_adapter(SyncJob).dump_json(job) + b"\n\n"
        yield b"event: end\ndata: {}\n\n"

    return StreamingResponse(events(), headers={"Cache-Control": "no-store"}, media_type=EVENT_STREAM)


OPERATIONS = (start_sync, get_sync, follow_sync, start_all_syncs, list_syncs, follow_all_syncs)
