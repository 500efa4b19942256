"""The map of all tools."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.playground import PlaygroundQuery
from gateway.admin.services.tools.tool_map import MapFilter, ToolMap
from gateway.admin.web.page import get
from gateway.admin.web.page_context import PageContext
from gateway.admin.web.presentation.formatting import display_text
from gateway.admin.web.renderer import compressed_response

_MAX_NEAREST = 3


@dataclass(frozen=True, slots=True)
class MappedServer:
    """A server with how many of its tools are on the map."""

    id: int
    name: str
    tools: int


async def show_map(context: PageContext) -> Response:
    """The page around the canvas."""
    tools = await context.services.tool_map.get(context.tenant.id, context.tenant.catalogue_version, MapFilter())
    return context.render("tool_map.html", tools=tools, servers=_servers(tools))


async def list_points(context: PageContext) -> Response:
    """Every point: x, y, position of its server in `servers`, id, name, and 1 where another tool does the same; every
    cluster: x, y, and its words.
    """
    tools = await context.services.tool_map.get(context.tenant.id, context.tenant.catalogue_version, MapFilter())
    servers = _servers(tools)
    positions = {server.id: position for position, server in enumerate(servers)}
    duplicates = {tool_id for pair in tools.duplicates for tool_id in (pair.one, pair.other)}
    points = [[p.x, p.y, positions[p.server_id], p.id, p.name, int(p.id in duplicates)] for p in tools.points]
    clusters = [[c.x, c.y, display_text(", ".join(c.words), 80)] for c in tools.clusters if c.words]
    names = [display_text(server.name, 100) for server in servers]
    return _json_response(context, {"servers": names, "points": points, "clusters": clusters})


async def locate_query(context: PageContext) -> Response:
    """Where a query lies, and the tools that a search for it finds, or comes nearest to."""
    text = context.query("q")
    if not text:
        return _json_response(context, {})
    query = parse_form(MapFilter, {"query": text})
    tools = await context.services.tool_map.get(context.tenant.id, context.tenant.catalogue_version, query)
    answer = await context.services.playground.search(context.tenant.id, parse_form(PlaygroundQuery, {"query": text}))
    found = [tool.id for tool in answer.tools if tool.outcome == "found"]
    nearest = found or [tool.id for tool in answer.tools[:_MAX_NEAREST]]
    position = {} if tools.query is None else {"x": tools.query.x, "y": tools.query.y}
    return _json_response(context, {**position, "nearest": nearest, "found": bool(found)})


def _servers(tools: ToolMap) -> list[MappedServer]:
    """The servers of a map, those with the most tools first."""
    names = {point.server_id: point.server_name for point in tools.points}
    counts = Counter(point.server_id for point in tools.points)
    return [MappedServer(server_id, names[server_id], count) for server_id, count in counts.most_common()]


def _json_response(context: PageContext, value: dict[str, Any]) -> Response:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return compressed_response(context.request, body, "application/json", {"Cache-Control": "no-store"})


PAGES = (get("/map", show_map), get("/map/points", list_points), get("/map/query", locate_query))
