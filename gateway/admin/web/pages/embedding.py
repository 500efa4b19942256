"""The page about embedding."""

from __future__ import annotations

from starlette.responses import Response

from gateway.admin.web.page import get
from gateway.admin.web.page_context import PageContext


async def show_embedding(context: PageContext) -> Response:
    """The space in force, how many tools have vectors in it, and whether the model answers."""
    return context.render("embedding.html", view=await context.services.embedding.get(context.tenant.id))


PAGES = (get("/embedding", show_embedding),)
