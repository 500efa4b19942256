"""The list of servers, and their syncs as they go on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from starlette.responses import Response

from gateway.admin.services.servers.servers import ServerCard
from gateway.admin.services.servers.syncs import SyncJob
from gateway.admin.web.fragment_stream import fragment_stream
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext

_PAGE_SERVERS = 100


async def list_servers(context: PageContext) -> Response:
    """A page of the servers; with `q` of those whose name, address or description has it."""
    text = context.query("q").lower()
    cards = await context.services.servers.list(context.tenant.id, context.principal)
    matching = [card for card in cards if text in f"{card.name} {card.slug} {card.description}".lower()]
    start = int(context.query("after")) if context.query("after").isdecimal() else 0
    shown = matching[start : start + _PAGE_SERVERS]
    return context.render(
        "servers_rows.html" if context.is_htmx else "servers.html",
        servers=shown,
        after=start,
        next=start + _PAGE_SERVERS if len(matching) > start + _PAGE_SERVERS else None,
        jobs=sync_jobs(context, shown),
        q=context.query("q"),
        total=len(cards),
    )


async def start_sync(context: PageContext) -> Response:
    """Start the sync of one server, or join the one that runs."""
    server_id = context.path_id("server")
    job = await context.services.syncs.start(context.tenant.id, server_id)
    if not context.is_htmx:
        return context.redirect("/servers")
    if "panel" in context.request.query_params:
        return context.render("server_sync.html", job=job, server_id=server_id)
    cards = await context.services.servers.list(context.tenant.id, context.principal)
    card = next(card for card in cards if card.id == server_id)
    return context.render("servers_row.html", server=card, job=job)


async def start_all_syncs(context: PageContext) -> Response:
    """Start the sync of every server that is switched on."""
    await context.services.syncs.start_all(context.tenant.id)
    return context.redirect("/servers")


async def follow_all_syncs(context: PageContext) -> Response:
    """Rows of servers whose syncs go on, each time something changes."""
    return fragment_stream(_rows(context))


def sync_jobs(context: PageContext, cards: Iterable[ServerCard]) -> dict[int, SyncJob]:
    """The latest sync of each server that was synced from here, without the failures that it has got over since."""
    jobs = {job.server_id: job for job in context.services.syncs.list(context.tenant.id, context.principal)}
    for card in cards:
        job = jobs.get(card.id)
        if job is not None and job.state == "failed" and card.synced_at is not None and job.started_at < card.synced_at:
            del jobs[card.id]
    return jobs


async def _rows(context: PageContext) -> AsyncIterator[str]:
    cards: dict[int, ServerCard] = {}
    async for job in context.services.syncs.follow(context.tenant.id, context.principal):
        if job.server_id not in cards or job.state != "running":
            cards = {
                card.id: card for card in await context.services.servers.list(context.tenant.id, context.principal)
            }
        if job.server_id in cards:
            yield context.render_fragment("servers_row.html", server=cards[job.server_id], job=job)


PAGES = (
    get("/servers", list_servers),
    get("/servers/events", follow_all_syncs),
    post("/servers/sync", start_all_syncs),
    post("/servers/{server:int}/sync", start_sync),
)
