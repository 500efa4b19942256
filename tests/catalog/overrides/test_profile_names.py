"""The names of tools at a profile's endpoint, in a search that measures some of the tools alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.access.rules import set_rule
from gateway.catalog.tool_override import ToolOverride
from gateway.search.index import pgvector_index
from gateway.settings import Settings
from tests.catalog.overrides.test_tool_overrides import found, overrides_of, tool_id
from tests.support.gateway import RunningGateway
from tests.support.listed import add_listed, tool

TOOLS = tool("lookup", "Look up a record."), tool("remove_row", "Deletes a row of a table.")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """As in a tenant with very many tools."""
    return replace(settings, search=replace(settings.search, index="pgvector", exact_tools=0))


async def test_the_name_at_a_profile_is_found_beside_more_tools_than_are_measured(
    gateway: RunningGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgvector_index, "_CANDIDATES", 20)
    others = [tool(f"crm_{number}", "Find a customer in the CRM.") for number in range(60)]
    server = await add_listed(gateway.parts, tmp_path, *TOOLS, *others)
    profile = await gateway.parts.profiles.create(server.tenant_id, "sales", "all")
    await set_rule(gateway.parts.database, server.tenant_id, profile.id, "ALLOW", server_id=server.id)
    for name in ("lookup", "remove_row"):
        override = ToolOverride(name=f"crm{name[0]}")
        await overrides_of(gateway.parts).set(server.tenant_id, await tool_id(server, name), override, profile.id)
    await set_rule(
        gateway.parts.database, server.tenant_id, profile.id, "DENY", tool_id=await tool_id(server, "remove_row")
    )
    (best, *_) = await found(gateway, "crml", "/mcp/p/sales")
    assert (best["name"], best["_metadata"]["score"]) == ("crml", 1.0)
    assert "crmr" not in [each["name"] for each in await found(gateway, "crmr", "/mcp/p/sales")]
