"""The page about embedding."""

from __future__ import annotations

from starlette.responses import Response

from gateway.admin.pages.page import get
from gateway.admin.pages.visit import Visit


async def show_embedding(visit: Visit) -> Response:
    """The space in force, how many tools have vectors in it, and whether the model answers."""
    return visit.page("embedding.html", view=await visit.actions.embedding.get(visit.tenant.id))


PAGES = (get("/embedding", show_embedding),)
