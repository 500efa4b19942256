"""The page about embedding, and what is done about its spaces."""

from __future__ import annotations

from starlette.responses import Response

from gateway.admin.paths import HOME_PATH
from gateway.admin.request_input import parse_form
from gateway.admin.services.embedding import SpaceSwitchInput
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext

_EMBEDDING_PATH = f"{HOME_PATH}/t/default/embedding"


async def show_embedding(context: PageContext) -> Response:
    """The space in force, how many tools have vectors in it, and whether the model answers."""
    return context.render("embedding.html", view=await context.services.embedding.get(context.tenant.id))


async def switch_space(context: PageContext) -> Response:
    """Let another space serve, or a share of the searches."""
    await context.services.embedding.switch(parse_form(SpaceSwitchInput, await context.form()))
    return context.redirect_to(_EMBEDDING_PATH)


async def pause_space(context: PageContext) -> Response:
    """Neither fill a space nor switch to it."""
    await context.services.embedding.pause(context.path_id("id"))
    return context.redirect_to(_EMBEDDING_PATH)


async def resume_space(context: PageContext) -> Response:
    """Go on with a space."""
    await context.services.embedding.resume(context.path_id("id"))
    return context.redirect_to(_EMBEDDING_PATH)


async def drop_space(context: PageContext) -> Response:
    """Drop a space with its vectors."""
    await context.services.embedding.drop(context.path_id("id"))
    return context.redirect_to(_EMBEDDING_PATH)


PAGES = (
    get("/embedding", show_embedding),
    post("/embedding/switch", switch_space, gateway_wide=True),
    post("/embedding/{id:int}/pause", pause_space, gateway_wide=True),
    post("/embedding/{id:int}/resume", resume_space, gateway_wide=True),
    post("/embedding/{id:int}/drop", drop_space, gateway_wide=True),
)
