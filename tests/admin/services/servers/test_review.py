"""Quarantine and approval through the REST API."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway, add_local_mcp


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
