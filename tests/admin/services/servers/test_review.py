"""Quarantine and approval through the REST API."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway, add_local_mcp
from tests.support.listed import add_listed, tool


@pytest.fixture
async def server_id(gateway: RunningGateway, tmp_path: Path) -> int:
    return await add_local_mcp(gateway.parts, tmp_path)


async def _id_of(person: Person, name: str) -> int:
    items = (await person.get("/tools", text=name)).json()["items"]
    found: int = next(item["id"] for item in items if item["name"] == name)
    return found


async def test_a_quarantined_tool_is_hidden_until_it_is_approved(
    gateway: RunningGateway, admin: Person, server_id: int
) -> None:
    tool = await _id_of(admin, "calculator")
    held = (await admin.post(f"/tools/{tool}/quarantine")).json()
    assert held["quarantine"]
    assert [each["id"] for each in (await admin.get("/standings")).json()] == [tool]
    assert [each["id"] for each in (await admin.get("/tools", state="quarantined")).json()["items"]] == [tool]
    found = await gateway.call("tool_search", {"query": "calculate math expressions"})
    assert "calculator" not in found["content"][0]["text"]
    other = await admin.post(f"/tools/{tool}/approve", {"content_hash": "0" * 64})
    assert other.status_code == 409
    approved = await admin.post(f"/tools/{tool}/approve", {"content_hash": held["content_hash"]})
    assert (approved.status_code, approved.json()["quarantine"]) == (200, None)
    found = await gateway.call("tool_search", {"query": "calculate math expressions"})
    assert "calculator" in found["content"][0]["text"]


async def test_what_a_server_says_of_itself_is_judged_as_its_tools_are(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    server = await add_listed(gateway.parts, tmp_path, tool("a"), said={"instructions": "Lists things."})
    assert (await admin.get("/offerings")).json() == []
    assert (await admin.put(f"/servers/{server.id}/policy", {"on_change": "quarantine"})).is_success
    server.lists(tool("a"), said={"instructions": "Lists other things."})
    await gateway.parts.pool.close_server(server.id)
    await server.sync()
    (waiting,) = (await admin.get("/offerings")).json()
    assert (waiting["kind"], waiting["name"], waiting["server"]) == ("instructions", "", "Listed")
    assert [change["path"] for change in waiting["changes"]] == ["/instructions"]
    approve = f"/servers/{server.id}/offerings/approve"
    named = {"kind": "instructions", "name": ""}
    assert (await admin.post(approve, {**named, "content_hash": "0" * 64})).status_code == 409
    assert (await admin.post(approve, {"kind": "prompt", "name": "greet"})).status_code == 404
    assert (await admin.post(approve, {"name": ""})).status_code == 422
    approved = await admin.post(approve, {**named, "content_hash": waiting["content_hash"]})
    assert approved.json() == {"offerings": [{"kind": "instructions", "name": ""}]}
    assert (await admin.get("/offerings")).json() == []
