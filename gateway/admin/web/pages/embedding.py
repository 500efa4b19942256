"""The page about embedding, and what is done about its spaces."""

from __future__ import annotations

from starlette.responses import Response

from gateway.admin.paths import HOME_PATH
from gateway.admin.request_input import parse_form
from gateway.admin.services.embedding.embedding import SpaceSwitchInput
from gateway.admin.services.embedding.space_comparison import SpaceComparisonQuery
from gateway.admin.services.search_index import IndexDropInput, IndexRebuildInput
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.errors import ModelGateError

_EMBEDDING_PATH = f"{HOME_PATH}/t/default/embedding"


async def show_embedding(context: PageContext) -> Response:
    """The space in force, how many tools have vectors in it, and whether the model answers; with `compare`, what two
    spaces answer to that query. Whoever runs the gateway sees the indexes in a cluster, too.
    """
    view = await context.services.embedding.get(context.tenant.id)
    query, comparison, errors = context.query("compare"), None, {}
    if query:
        try:
            asked = parse_form(SpaceComparisonQuery, {"query": query, "space": context.query("space") or None})
            comparison = await context.services.space_comparison.compare(context.tenant.id, asked)
        except ModelGateError as error:
            errors = {"": error.message}
    # It is of all tenants.
    index = await context.services.search_index.get() if context.principal.admin.every_tenant else None
    return context.render("embedding.html", view=view, index=index, query=query, comparison=comparison, errors=errors)


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


async def rebuild_index(context: PageContext) -> Response:
    """Have a new index filled in the cluster, beside the one that serves."""
    await context.services.search_index.rebuild(parse_form(IndexRebuildInput, await context.form()))
    return context.redirect_to(_EMBEDDING_PATH)


async def drop_index(context: PageContext) -> Response:
    """Delete an index from the cluster."""
    await context.services.search_index.drop(parse_form(IndexDropInput, await context.form()))
    return context.redirect_to(_EMBEDDING_PATH)


async def clear_embedding_cache(context: PageContext) -> Response:
    """Forget the vectors of all queries."""
    await context.services.embedding.clear_cache()
    return context.redirect_to(_EMBEDDING_PATH)


PAGES = (
    get("/embedding", show_embedding),
    post("/embedding/clear-cache", clear_embedding_cache, gateway_wide=True),
    post("/embedding/index/rebuild", rebuild_index, gateway_wide=True),
    post("/embedding/index/drop", drop_index, gateway_wide=True),
    post("/embedding/switch", switch_space, gateway_wide=True),
    post("/embedding/{id:int}/pause", pause_space, gateway_wide=True),
    post("/embedding/{id:int}/resume", resume_space, gateway_wide=True),
    post("/embedding/{id:int}/drop", drop_space, gateway_wide=True),
)
