"""What admins say of tools, from setting it to what clients list, find and call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.access.roles import role_by_name
from gateway.access.rules import set_rule
from gateway.catalog.overrides.stored_overrides import list_overrides
from gateway.catalog.overrides.tool_overrides import ToolOverrides
from gateway.catalog.overrides.tool_switch import set_tool_enabled
from gateway.catalog.tool_override import ToolOverride
from gateway.components import Components
from gateway.errors import InvalidInputError, NotFoundError
from tests.support.gateway import RunningGateway
from tests.support.listed import ListedServer, add_listed, tool

_TOOLS = (
    tool("lookup", "Look up a record.", key="What to look for"),
    tool("remove_row", "Deletes a row of a table."),
)


@pytest.fixture
async def server(gateway: RunningGateway, tmp_path: Path) -> ListedServer:
    return await add_listed(gateway.parts, tmp_path, *_TOOLS)


def overrides_of(parts: Components) -> ToolOverrides:
    return ToolOverrides(parts.database, parts.spaces)


async def tool_id(server: ListedServer, name: str) -> int:
    rows = await server.parts.database.fetch("stored_tools", server.tenant_id, server.id, 0)
    return next(int(row["id"]) for row in rows if row["name"] == name)


async def found(gateway: RunningGateway, query: str, path: str = "/mcp") -> list[dict[str, Any]]:
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "tool_search", "arguments": {"query": query, "detail": "full"}},
    }
    answer = await gateway.http.post(path, json=message, headers={"X-API-Key": gateway.key})
    shown: list[dict[str, Any]] = json.loads(answer.json()["result"]["content"][0]["text"])["tools"]
    return shown


async def test_clients_list_find_and_call_a_tool_as_the_admin_calls_it(
    gateway: RunningGateway, server: ListedServer
) -> None:
    role = await role_by_name(gateway.parts.database, server.tenant_id, "all")
    lookup = await tool_id(server, "lookup")
    await set_rule(gateway.parts.database, server.tenant_id, role.id, "ALLOW", pattern="listed__*")
    override = ToolOverride(
        name="find_customer",
        title="Customers",
        description="Finds the customer that belongs to an invoice.",
        category="database",
        parameters={"key": "Number of the invoice"},
    )
    await overrides_of(gateway.parts).set(server.tenant_id, lookup, override)

    listed = {each["name"]: each for each in (await gateway.request("tools/list"))["result"]["tools"]}
    # The rule about its former name holds.
    shown = listed["find_customer"]
    assert "listed__lookup" not in listed
    assert (shown["title"], shown["description"]) == ("Customers", "Finds the customer that belongs to an invoice.")
    assert shown["inputSchema"]["properties"]["key"]["description"] == "Number of the invoice"

    for query in ("which customer belongs to this invoice", "find_customer"):
        best = (await found(gateway, query))[0]
        assert best["name"] == "find_customer"
        assert best["_metadata"]["category"] == "database"
    # Embedded at once, and by the text that is shown.
    rows = await gateway.parts.database.fetch(
        "stored_tools", server.tenant_id, server.id, (await gateway.parts.spaces.configured_space()).id
    )
    assert all(row["text_hash"] is not None for row in rows)

    for name in ("find_customer", "listed__lookup", "Listed/lookup"):
        answer = await gateway.call(name, {"key": "7"})
        assert json.loads(answer["content"][0]["text"]) == {"name": "lookup", "arguments": {"key": "7"}}

    await overrides_of(gateway.parts).remove(server.tenant_id, lookup)
    listed = {each["name"]: each for each in (await gateway.request("tools/list"))["result"]["tools"]}
    assert listed["listed__lookup"]["description"] == "Look up a record."
    assert "title" not in listed["listed__lookup"]


async def test_an_override_outlives_a_change_of_the_server_and_shows_it(
    gateway: RunningGateway, server: ListedServer
) -> None:
    overrides, lookup = overrides_of(gateway.parts), await tool_id(server, "lookup")
    await overrides.set(
        server.tenant_id, lookup, ToolOverride(description="Finds people.", parameters={"key": "A surname"})
    )
    assert (await list_overrides(gateway.parts.database, server.tenant_id, lookup))[0].changed == ()

    server.lists(tool("lookup", "Look up a file.", key="A path", deep="Whether to descend"), _TOOLS[1])
    assert (await server.sync()).changed == ("lookup",)

    (stored,) = await list_overrides(gateway.parts.database, server.tenant_id, lookup)
    assert [(each.field, each.before, each.now) for each in stored.changed] == [
        ("description", "Look up a record.", "Look up a file."),
        ("key", "What to look for", "A path"),
    ]
    best = (await found(gateway, "finds people by surname"))[0]
    assert best["description"] == "Finds people."
    assert best["inputSchema"]["properties"]["key"]["description"] == "A surname"
    assert best["inputSchema"]["properties"]["deep"]["description"] == "Whether to descend"
    # A sync that finds nothing new embeds and changes nothing.
    again = await server.sync()
    assert (again.changed, again.embedded) == ((), 0)


async def test_a_tool_that_is_switched_off_is_nowhere_and_a_call_says_so(
    gateway: RunningGateway, server: ListedServer
) -> None:
    database, remove = gateway.parts.database, await tool_id(server, "remove_row")
    await set_tool_enabled(database, server.tenant_id, remove, enabled=False)

    assert "listed__remove_row" not in json.dumps(await found(gateway, "delete a row of a table"))
    refused = await gateway.request("tools/call", {"name": "listed__remove_row", "arguments": {}})
    assert refused["error"]["message"] == (
        'The tool "listed__remove_row" is switched off by an administrator; find another one with tool_search.'
    )
    # Who could not call it anyway is not told that there is one.
    role = await role_by_name(gateway.parts.database, server.tenant_id, "all")
    await set_rule(gateway.parts.database, server.tenant_id, role.id, "DENY", tool_id=remove)
    refused = await gateway.request("tools/call", {"name": "listed__remove_row", "arguments": {}})
    assert refused["error"]["message"].startswith("There is no tool")

    await set_rule(gateway.parts.database, server.tenant_id, role.id, "SEARCH", tool_id=remove)
    await server.sync()
    await set_tool_enabled(database, server.tenant_id, remove, enabled=True)
    assert (await gateway.call("listed__remove_row"))["content"]


async def test_a_profile_calls_a_tool_otherwise_than_everybody_else(
    gateway: RunningGateway, server: ListedServer
) -> None:
    profile = await gateway.parts.profiles.create(server.tenant_id, "sales", "all")
    await set_rule(gateway.parts.database, server.tenant_id, profile.id, "ALLOW", server_id=server.id)
    lookup = await tool_id(server, "lookup")
    override = ToolOverride(name="crm", description="Find a customer.", parameters={"key": "A surname"})
    await overrides_of(gateway.parts).set(server.tenant_id, lookup, override, profile.id)

    async def ask(method: str, path: str = "/mcp/p/sales", **params: Any) -> Any:
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return (await gateway.http.post(path, json=message, headers={"X-API-Key": gateway.key})).json()

    listed = {each["name"]: each for each in (await ask("tools/list"))["result"]["tools"]}
    assert listed["crm"]["inputSchema"]["properties"]["key"]["description"] == "A surname"
    assert "listed__lookup" not in listed
    names = [each["name"] for each in await found(gateway, "look up a record", "/mcp/p/sales")]
    assert "crm" in names
    assert "listed__lookup" not in names
    assert [each["name"] for each in await found(gateway, "crm", "/mcp/p/sales")][:1] == ["crm"]
    assert (await found(gateway, " crm ", "/mcp/p/sales"))[0]["_metadata"]["score"] == 1.0
    assert (await ask("tools/call", name="crm", arguments={}))["result"]["content"]
    assert "listed__lookup" in [each["name"] for each in await found(gateway, "look up a record")]
    assert "error" in await ask("tools/call", path="/mcp", name="crm", arguments={})


@pytest.mark.parametrize(
    ("override", "field"),
    [
        (ToolOverride(name="has space"), "name"),
        (ToolOverride(name="tool_search"), "name"),
        (ToolOverride(name="listed__remove_row"), "name"),
        (ToolOverride(category="nonsense"), "category"),
        (ToolOverride(title=" "), "title"),
        (ToolOverride(parameters={"unknown": "x"}), "parameters"),
    ],
)
async def test_what_a_tool_cannot_be_called_names_the_field(
    gateway: RunningGateway, server: ListedServer, override: ToolOverride, field: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await overrides_of(gateway.parts).set(server.tenant_id, await tool_id(server, "lookup"), override)
    assert refused.value.field == field
    with pytest.raises(NotFoundError):
        await overrides_of(gateway.parts).set(server.tenant_id, 999_999, ToolOverride(title="x"))
