"""Syncs: started, followed as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from gateway.admin.reading import adapter_of
from gateway.admin.rest.operation import EVENTS, RestContext, operation
from gateway.admin.services.servers.syncs import SyncJob


@operation("POST", "/servers/{server_id}/sync", status=202)
async def start_sync(visit: RestContext, server_id: int) -> SyncJob:
    """Start a sync in the background, or join the one that runs."""
    return await visit.actions.syncs.start(visit.tenant.id, server_id)


@operation("GET", "/servers/{server_id}/sync")
async def get_sync(visit: RestContext, server_id: int) -> SyncJob:
    """Show how far the latest sync of a server is."""
    return visit.actions.syncs.get(visit.tenant.id, server_id)


@operation("GET", "/servers/{server_id}/sync/events", returns=SyncJob, media=(EVENTS,))
async def follow_sync(visit: RestContext, server_id: int) -> Response:
    """Follow the sync of a server until it ends.

    Each event is named sync and its data is a SyncJob as JSON; after the last comes one named end.
    """
    visit.actions.syncs.get(visit.tenant.id, server_id)
    return event_stream(visit.actions.syncs.follow(visit.tenant.id, server_id))


@operation("POST", "/sync", status=202)
async def start_all_syncs(visit: RestContext) -> list[SyncJob]:
    """Sync every server that is switched on."""
    return await visit.actions.syncs.start_all(visit.tenant.id)


@operation("GET", "/sync")
async def list_syncs(visit: RestContext) -> list[SyncJob]:
    """List the latest sync of each server that was synced from here."""
    return visit.actions.syncs.list(visit.tenant.id)


@operation("GET", "/sync/events", returns=SyncJob, media=(EVENTS,))
async def follow_all_syncs(visit: RestContext) -> Response:
    """Follow every sync of the tenant until none of them runs; events as for one server."""
    return event_stream(visit.actions.syncs.follow(visit.tenant.id))


def event_stream(jobs: AsyncIterator[SyncJob]) -> StreamingResponse:
    """Server-sent events of syncs."""

    async def events() -> AsyncIterator[bytes]:
        async for job in jobs:
            yield b"event: sync\ndata: " + adapter_of(SyncJob).dump_json(job) + b"\n\n"
        yield b"event: end\ndata: {}\n\n"

    return StreamingResponse(events(), headers={"Cache-Control": "no-store"}, media_type=EVENTS)


OPERATIONS = (start_sync, get_sync, follow_sync, start_all_syncs, list_syncs, follow_all_syncs)
