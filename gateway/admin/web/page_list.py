"""Every page there is."""

from __future__ import annotations

from gateway.admin.web.pages import (
    admins,
    audit,
    embedding,
    keys,
    overview,
    playground,
    roles,
    server,
    server_form,
    servers,
    tenants,
    tool,
    tool_map,
    tools,
)

PAGES = (
    *overview.PAGES,
    *server_form.PAGES,
    *servers.PAGES,
    *server.PAGES,
    *tools.PAGES,
    *tool.PAGES,
    *playground.PAGES,
    *tool_map.PAGES,
    *roles.PAGES,
    *keys.PAGES,
    *audit.PAGES,
    *embedding.PAGES,
    *tenants.PAGES,
    *admins.PAGES,
)
