"""The page about embedding."""

from __future__ import annotations

from starlette.responses import Response

from gateway.admin.web.page import get
from gateway.admin.web.visit import PageContext


async def show_embedding(visit: PageContext) -> Response:
    """The space in force, how many tools have vectors in it, and whether the model answers."""
    return visit.page("embedding.html", view=await visit.actions.embedding.get(visit.tenant.id))


PAGES = (get("/embedding", show_embedding),)
