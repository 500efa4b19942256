"""Tools that people try while `audit.fail_closed` is on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from gateway.settings import Settings
from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway, add_local_mcp


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, audit=replace(settings.audit, fail_closed=True))


async def test_a_tool_is_tried_only_after_the_trace_holds_it(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    items = (await admin.get("/tools", text="calculator")).json()["items"]
    path = f"/tools/{items[0]['id']}/call"
    tried = {"arguments": {"expression": "6*7", "password": "hunter2"}}
    assert (await admin.post(path, tried)).status_code == 200
    connection = await asyncpg.connect(gateway.parts.database.url)
    try:
        row = await connection.fetchrow("SELECT actor_name, details FROM audit_log WHERE action = 'tool.tried'")
        assert row is not None
        assert row["actor_name"] == "ada"
        assert "6*7" in row["details"]
        assert "hunter2" not in row["details"]
        await connection.execute("ALTER TABLE audit_log RENAME TO audit_log_away")
        refused = await admin.post(path, tried)
        assert refused.status_code == 503
        assert "trace of calls cannot be written" in refused.json()["detail"]
        await connection.execute("ALTER TABLE audit_log_away RENAME TO audit_log")
    finally:
        await connection.close()
