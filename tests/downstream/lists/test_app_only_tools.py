"""Tools that are for an app's own use: nobody is shown them, and an app may call them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from gateway.access.roles import create_role
from gateway.components import open_components
from gateway.settings import Settings
from tests.support.gateway import running_gateway
from tests.support.listed import Tool, add_listed, tool


def _shown_to(name: str, *seen_by: str) -> Tool:
    return {**tool(name, "Refresh the dashboard of the farm"), "_meta": {"ui": {"visibility": list(seen_by)}}}


TOOLS = (
    _shown_to("refresh_app", "app"),
    _shown_to("refresh_nobody"),
    _shown_to("refresh_both", "model", "app"),
    tool("refresh", "Refresh the dashboard of the farm"),
    # What is no list says nothing.
    {**tool("refresh_odd", "Refresh the dashboard of the farm"), "_meta": {"ui": {"visibility": "app"}}},
)
SHOWN = {"farm__refresh", "farm__refresh_both", "farm__refresh_odd"}


@pytest.mark.parametrize("index", ["memory", "pgvector"])
async def test_a_tool_for_apps_alone_is_neither_found_nor_listed_but_called(
    settings: Settings, tmp_path: Path, index: Literal["memory", "pgvector"]
) -> None:
    search = replace(settings.search, index=index, threshold=0.0)
    async with open_components(replace(settings, search=search)) as parts, running_gateway(parts) as gateway:
        await add_listed(parts, tmp_path, *TOOLS, name="Farm")
        await create_role(parts.database, 1, "everything", "ALLOW")
        key = (await parts.keys.create(1, "lister", ["everything"])).key
        for query in ("refresh the dashboard of the farm", "farm__refresh_app"):
            answer = await gateway.call("tool_search", {"query": query, "max_results": 20, "detail": "brief"})
            assert {entry["name"] for entry in json.loads(answer["content"][0]["text"])["tools"]} == SHOWN
        listed = (await gateway.request("tools/list", **{"X-API-Key": key}))["result"]["tools"]
        assert {entry["name"] for entry in listed} == {"tool_search", "tool_call", *SHOWN}
        called = await gateway.call("farm__refresh_app", {})
        assert not called.get("isError"), called
