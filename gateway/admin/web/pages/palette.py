"""What the palette offers beside the pages: tools, servers, keys and roles by their names."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from gateway.admin.services.access.keys import KeyFilter
from gateway.admin.services.tools.tools import ToolFilter
from gateway.admin.web.page import get
from gateway.admin.web.page_context import PageContext
from gateway.edge.root_path import root_path_of

_MAX_OF_KIND = 6
_MAX_CHARACTERS = 200


async def find(context: PageContext) -> Response:
    """At most six of each kind, as `{"url", "label", "kind"}`."""
    text, tenant_id = context.query("q")[:_MAX_CHARACTERS], context.tenant.id
    if not text:
        return JSONResponse([])
    lowered = text.lower()
    tools = await context.services.tools.list(tenant_id, ToolFilter(text=text, state="any", limit=_MAX_OF_KIND))
    servers = await context.services.servers.names(tenant_id)
    keys = await context.services.keys.page(tenant_id, KeyFilter(text=text, limit=_MAX_OF_KIND))
    roles = await context.services.roles.list(tenant_id)
    found = [
        *(("server", f"/servers/{each.id}", each.name) for each in servers if lowered in each.name.lower()),
        *(("tool", f"/tools/{each.id}", each.exposed_name) for each in tools.items),
        *(("key", f"/keys/{each.id}", each.name) for each in keys.items),
        *(("role", f"/roles/{each.id}", each.name) for each in roles if lowered in each.name.lower()),
    ]
    root = root_path_of(context.request.scope)
    counts: dict[str, int] = {}
    shown = []
    for kind, path, label in found:
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] <= _MAX_OF_KIND:
            shown.append({"url": root + context.url(path), "label": label[:_MAX_CHARACTERS], "kind": kind})
    return JSONResponse(shown, headers={"Cache-Control": "no-store"})


PAGES = (get("/palette", find),)
