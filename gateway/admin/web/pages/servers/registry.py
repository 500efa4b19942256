"""Adding a server that the registry lists: search, choose, give what it asks for."""

from __future__ import annotations

from starlette.responses import Response

from gateway.admin.services.servers.registry import RegistryServer
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.catalog.registry.registry import RegistryEntry
from gateway.errors import ModelGateError

_VALUE_PREFIX = "value."


async def search_registry(context: PageContext) -> Response:
    """The servers that the registry finds."""
    words = context.query("q")
    found: list[RegistryEntry] = []
    problem: ModelGateError | None = None
    if words:
        try:
            found = await context.services.registry.search(words)
        except ModelGateError as error:
            problem = error
    rejection = context.rejection(problem)
    template = "registry_found.html" if context.is_htmx else "registry.html"
    return context.render(template, rejection.status, q=words, found=found, errors=rejection.errors)


async def show_registry_server(context: PageContext) -> Response:
    """What a server asks for, and how it would run."""
    try:
        server = await _get_server(context, context.query("name"), context.query("version"), context.query("run_by"))
    except ModelGateError as error:
        return _answer_without_server(context, error)
    return context.render("registry_server.html", server=server, submitted={"name": server.suggested_name})


async def add_registry_server(context: PageContext) -> Response:
    """Add a server, disabled until somebody has looked at it."""
    submitted = await context.form()
    try:
        server = await _get_server(
            context, submitted.get("listed", ""), submitted.get("version", ""), submitted.get("run_by", "")
        )
    except ModelGateError as error:
        return _answer_without_server(context, error)
    values = {
        name.removeprefix(_VALUE_PREFIX): value for name, value in submitted.items() if name.startswith(_VALUE_PREFIX)
    }
    try:
        name = submitted.get("name", "")
        server_id = await context.services.registry.add(context.tenant.id, server, name, values, context.principal)
    except ModelGateError as error:
        return context.render_form_errors("registry_server.html", error, submitted, server=server)
    return context.redirect(f"/servers/{server_id}")


async def _get_server(context: PageContext, name: str, version: str, run_by: str) -> RegistryServer:
    return await context.services.registry.get(name, version, run_by)


def _answer_without_server(context: PageContext, error: ModelGateError) -> Response:
    rejection = context.rejection(error)
    return context.render("registry.html", rejection.status, q="", found=[], errors={"": error.message})


PAGES = (
    get("/servers/registry", search_registry, write=True),
    get("/servers/registry/server", show_registry_server, write=True),
    post("/servers/registry/server", add_registry_server),
)
