"""The map of all tools."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from gateway.admin.reading import read_form
from gateway.admin.services.playground import PlaygroundQuery
from gateway.admin.services.tool_map import MapFilter, ToolMap
from gateway.admin.web.formatting import shown
from gateway.admin.web.frame import packed
from gateway.admin.web.page import get
from gateway.admin.web.visit import PageContext

_NEAREST = 3


@dataclass(frozen=True, slots=True)
class MappedServer:
    """A server with how many of its tools are on the map."""

    id: int
    name: str
    tools: int


async def show_map(visit: PageContext) -> Response:
    """The page around the canvas."""
    tools = await visit.actions.map.get(visit.tenant.id, visit.tenant.catalogue_version, MapFilter())
    return visit.page("map.html", tools=tools, servers=_servers(tools))


async def points(visit: PageContext) -> Response:
    """Every point: x, y, place of its server in `servers`, number, name, and 1 where another tool does the same."""
    tools = await visit.actions.map.get(visit.tenant.id, visit.tenant.catalogue_version, MapFilter())
    servers = _servers(tools)
    place = {server.id: position for position, server in enumerate(servers)}
    twins = {tool_id for pair in tools.duplicates for tool_id in (pair.one, pair.other)}
    found = [[p.x, p.y, place[p.server_id], p.id, p.name, int(p.id in twins)] for p in tools.points]
    return _json(visit, {"servers": [shown(server.name, 100) for server in servers], "points": found})


async def query(visit: PageContext) -> Response:
    """Where a query lies, and the tools that a search for it finds, or comes nearest to."""
    text = visit.asked("q")
    if not text:
        return _json(visit, {})
    wanted = read_form(MapFilter, {"query": text})
    tools = await visit.actions.map.get(visit.tenant.id, visit.tenant.catalogue_version, wanted)
    answer = await visit.actions.playground.search(visit.tenant.id, read_form(PlaygroundQuery, {"query": text}))
    found = [tool.id for tool in answer.tools if tool.outcome == "found"]
    nearest = found or [tool.id for tool in answer.tools[:_NEAREST]]
    at = {} if tools.query is None else {"x": tools.query.x, "y": tools.query.y}
    return _json(visit, {**at, "nearest": nearest, "found": bool(found)})


def _servers(tools: ToolMap) -> list[MappedServer]:
    """The servers of a map, those with the most tools first."""
    names = {point.server_id: point.server_name for point in tools.points}
    counts = Counter(point.server_id for point in tools.points)
    return [MappedServer(server_id, names[server_id], count) for server_id, count in counts.most_common()]


def _json(visit: PageContext, value: dict[str, Any]) -> Response:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return packed(visit.request, body, "application/json", {"Cache-Control": "no-store"})


PAGES = (get("/map", show_map), get("/map/points", points), get("/map/query", query))
