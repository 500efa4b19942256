"""The list of servers, and their syncs as they go on."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.responses import Response

from gateway.admin.services.servers.servers import ServerCard
from gateway.admin.services.servers.syncs import SyncJob
from gateway.admin.web.page import get, post
from gateway.admin.web.stream import parts_response
from gateway.admin.web.visit import PageContext


async def list_servers(visit: PageContext) -> Response:
    """All servers; with `q` those whose name, address or description has it."""
    wanted = visit.asked("q").lower()
    cards = await visit.actions.servers.list(visit.tenant.id)
    fitting = [card for card in cards if wanted in f"{card.name} {card.slug} {card.description}".lower()]
    return visit.page(
        "servers_rows.html" if visit.by_htmx else "servers.html",
        servers=fitting,
        jobs=jobs(visit),
        q=visit.asked("q"),
        everything=len(cards),
    )


async def sync(visit: PageContext) -> Response:
    """Start the sync of one server, or join the one that runs."""
    server_id = visit.number("server")
    job = await visit.actions.syncs.start(visit.tenant.id, server_id)
    if not visit.by_htmx:
        return visit.to("/servers")
    if "panel" in visit.request.query_params:
        return visit.page("server_sync.html", job=job, server_id=server_id)
    cards = await visit.actions.servers.list(visit.tenant.id)
    card = next(card for card in cards if card.id == server_id)
    return visit.page("servers_row.html", server=card, job=job)


async def sync_all(visit: PageContext) -> Response:
    """Start the sync of every server that is switched on."""
    await visit.actions.syncs.start_all(visit.tenant.id)
    return visit.to("/servers")


async def follow(visit: PageContext) -> Response:
    """Rows of servers whose syncs go on, each time something changes."""
    return parts_response(_rows(visit))


async def follow_one(visit: PageContext) -> Response:
    """The same for the panel of one server's page."""
    return parts_response(_panels(visit, visit.number("server")))


def jobs(visit: PageContext) -> dict[int, SyncJob]:
    """The latest sync of each server that was synced from here."""
    return {job.server_id: job for job in visit.actions.syncs.list(visit.tenant.id)}


async def _rows(visit: PageContext) -> AsyncIterator[str]:
    cards: dict[int, ServerCard] = {}
    async for job in visit.actions.syncs.follow(visit.tenant.id):
        if job.server_id not in cards or job.state != "running":
            cards = {card.id: card for card in await visit.actions.servers.list(visit.tenant.id)}
        if job.server_id in cards:
            yield visit.part("servers_row.html", server=cards[job.server_id], job=job)


async def _panels(visit: PageContext, server_id: int) -> AsyncIterator[str]:
    async for job in visit.actions.syncs.follow(visit.tenant.id, server_id):
        yield visit.part("server_sync.html", job=job, server_id=server_id)


PAGES = (
    get("/servers", list_servers),
    get("/servers/events", follow),
    post("/servers/sync", sync_all),
    post("/servers/{server:int}/sync", sync),
    get("/servers/{server:int}/events", follow_one),
)
