"""Approvals over REST: who may decide, about what, and what is said when it is too late."""

from __future__ import annotations

from pathlib import Path

from gateway.access.tenants import create_tenant
from tests.admin.conftest import Person, SignInAs
from tests.guards.approval.asked_calls import asked_tool, key_caller
from tests.support.audit import audit_rows
from tests.support.gateway import RunningGateway


async def test_an_admin_decides_and_nobody_else(
    gateway: RunningGateway, admin: Person, viewer: Person, sign_in_as: SignInAs, tmp_path: Path
) -> None:
    parts = gateway.parts
    bank = await asked_tool(parts, tmp_path)
    asked = await bank.ask(parts.approvals, key_caller(1), {"to": "Eve", "amount": 10})
    path = f"/approvals/{asked.id}"
    await create_tenant(parts.database, "other")
    elsewhere = await sign_in_as("lim", "admin", ["other"])
    assert [each["id"] for each in (await viewer.get("/approvals")).json()] == [asked.id]
    shown = (await viewer.get(path)).json()
    assert (shown["arguments"], shown["description"]) == ({"to": "Eve", "amount": 10}, "Pays.")
    assert (await viewer.post(f"{path}/approve", {})).status_code == 403
    for missing in (await elsewhere.get(path), await elsewhere.post(f"{path}/approve", {})):
        assert missing.status_code == 404
    assert (await elsewhere.get("/approvals")).json() == []
    assert (await admin.post(f"{path}/approve", {"reason": "x" * 1_001})).status_code == 422

    decided = (await admin.post(f"{path}/deny", {"reason": "not today"})).json()
    assert (decided["state"], decided["decided_by"], decided["reason"]) == ("denied", "ada", "not today")
    late = await admin.post(f"{path}/approve", {})
    assert (late.status_code, late.json()["code"]) == (409, "approval-decided")
    assert (await admin.get("/approvals")).json() == []
    assert [each["state"] for each in (await admin.get("/approvals", waiting=False)).json()] == ["denied"]
    (row,) = [row for row in await audit_rows(parts.database, action="approval.changed") if row["actor_name"] == "ada"]
    assert (row["target"], row["details"]["state"]) == ("bank__pay", ["asked", "denied"])


async def test_a_tool_that_is_described_otherwise_by_now_is_said_to_be(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    bank = await asked_tool(gateway.parts, tmp_path)
    asked = await bank.ask(gateway.parts.approvals, key_caller(1), {"to": "Eve"})
    assert (await admin.get(f"/approvals/{asked.id}")).json()["changed"] is False
    await gateway.parts.servers.remove(1, bank.server_id)
    # It went with its server, and nobody is asked about it any more.
    assert (await admin.get(f"/approvals/{asked.id}")).status_code == 404
