"""Versions of a server: what they say, and the way back to one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.access.roles import role_by_name
from gateway.catalog.review.versions import Versions
from gateway.components import Components
from gateway.errors import NotFoundError
from tests.support.gateway import RunningGateway
from tests.support.listed import ListedServer, add_listed, tool


async def names(server: ListedServer) -> dict[str, str]:
    """Description by name of what is offered."""
    rows = await server.parts.database.fetch("stored_tools", server.tenant_id, server.id, 0)
    return {row["name"]: json.loads(row["definition"])["description"] for row in rows if not row["removed"]}


async def test_every_sync_that_changes_something_writes_a_version(parts: Components, tmp_path: Path) -> None:
    server = await add_listed(parts, tmp_path, tool("one", "First"), tool("two", "Second"))
    await server.sync()
    server.lists(tool("one", "First, changed"), tool("three", "Third"))
    report = await server.sync()
    assert report.version == 2
    newest, first = await Versions(parts.database).list(server.tenant_id, server.id)
    assert (first.version, sorted(first.added), first.breaking, first.tool_count) == (1, ["one", "two"], False, 2)
    assert (newest.added, newest.removed, newest.breaking, newest.offered) == (["three"], ["two"], True, True)
    assert newest.changed[0]["name"] == "one"
    assert newest.changed[0]["fields"][0]["path"] == "/description"
    back = await Versions(parts.database).diff(server.tenant_id, server.id, 2, 1)
    assert (back.added_names, back.removed_names) == (("two",), ("three",))
    with pytest.raises(NotFoundError, match="there are 1 to 2"):
        await Versions(parts.database).diff(server.tenant_id, server.id, 1, 9)


async def test_a_renamed_tool_is_told(parts: Components, tmp_path: Path) -> None:
    server = await add_listed(parts, tmp_path, tool("old_name", "Does a thing", what="The thing"))
    server.lists(tool("new_name", "Does a thing", what="The thing"))
    await server.sync()
    assert (await Versions(parts.database).list(server.tenant_id, server.id))[0].renamed == [["old_name", "new_name"]]


async def test_a_rollback_brings_back_definitions_rules_and_vectors_and_embeds_nothing(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    parts = gateway.parts
    server = await add_listed(parts, tmp_path, tool("convert", "Convert currencies"), tool("paint", "Paint a picture"))
    rows = await parts.database.fetch(
        "stored_tools", server.tenant_id, server.id, (await parts.spaces.configured_space()).id
    )
    before = {row["name"]: (row["id"], row["text_hash"]) for row in rows}
    server.lists(tool("convert", "Bake bread and cakes"))
    await server.sync()
    assert "There is no tool" in str(await gateway.request("tools/call", {"name": "listed__paint", "arguments": {}}))
    report = await parts.sync.restore(server.tenant_id, server.id, 1)
    assert report.embedded == 0
    assert await names(server) == {"convert": "Convert currencies", "paint": "Paint a picture"}
    rows = await parts.database.fetch(
        "stored_tools", server.tenant_id, server.id, (await parts.spaces.configured_space()).id
    )
    assert {row["name"]: (row["id"], row["text_hash"]) for row in rows} == before
    found = await gateway.call("tool_search", {"query": "convert currencies"})
    assert "Convert currencies" in found["content"][0]["text"]
    role = await role_by_name(parts.database, server.tenant_id, "all")
    visible = await parts.database.fetch("visible_servers", server.tenant_id, [role.id])
    assert visible[0]["tool_count"] == 2


async def test_a_pinned_server_keeps_what_it_offers_and_a_record_of_what_it_lists(
    parts: Components, tmp_path: Path
) -> None:
    server = await add_listed(parts, tmp_path, tool("one", "First"))
    await parts.sync.restore(server.tenant_id, server.id, 1)
    server.lists(tool("one", "Changed"), tool("two", "New"))
    assert "pinned to version 1" in (await server.sync()).notice
    await server.sync()
    newest, first = await Versions(parts.database).list(server.tenant_id, server.id)
    assert (newest.version, newest.applied, newest.offered) == (2, False, False)
    assert (first.pinned, first.offered) == (True, True)
    assert await names(server) == {"one": "First"}
    await parts.sync.unpin(server.tenant_id, server.id)
    await server.sync()
    assert await names(server) == {"one": "Changed", "two": "New"}


async def test_going_back_is_a_version_of_its_own(parts: Components, tmp_path: Path) -> None:
    server = await add_listed(parts, tmp_path, tool("one", "First"))
    server.lists(tool("one", "Second"))
    await server.sync()
    report = await parts.sync.restore(server.tenant_id, server.id, 1)
    assert report.version == 3
    newest = (await Versions(parts.database).list(server.tenant_id, server.id))[0]
    assert (newest.restores, newest.pinned, newest.offered) == (1, True, True)
    await parts.servers.remove(server.tenant_id, server.id)
