"""Versions of servers through the REST API."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.admin.conftest import Person
from tests.support.gateway import LOCAL_MCP, RunningGateway


def _local(root: Path, **more: Any) -> dict[str, Any]:
    args = [str(LOCAL_MCP), "--root", str(root)]
    return {"name": "Local MCP", "transport": "stdio", "command": sys.executable, "args": args, **more}


async def test_versions_are_compared_gone_back_to_and_let_go(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    script = tmp_path / "changing.py"
    original = LOCAL_MCP.read_text(encoding="utf-8")
    script.write_text(original, encoding="utf-8")
    args, env = [str(script), "--root", str(tmp_path)], {"PYTHONPATH": str(LOCAL_MCP.parent)}
    body = {**_local(tmp_path), "args": args, "env": env}
    server_id = (await admin.post("/servers", body)).json()["card"]["id"]
    await gateway.parts.sync.run(1, server_id)
    script.write_text(original.replace("def calculator(", "def abacus("), encoding="utf-8")
    await gateway.parts.pool.close_server(server_id)
    await gateway.parts.sync.run(1, server_id)

    versions = (await admin.get(f"/servers/{server_id}/versions")).json()["items"]
    assert [version["version"] for version in versions] == [2, 1]
    compared = (await admin.get(f"/servers/{server_id}/versions/compare", before=1, after=2)).json()
    assert (compared["added"], compared["removed"], compared["breaking"]) == (["abacus"], ["calculator"], True)

    restored = await admin.post(f"/servers/{server_id}/versions/1/restore")
    assert restored.status_code == 200, restored.text
    assert (await admin.get("/tools", text="calculator")).json()["total"] == 1
    assert (await admin.get(f"/servers/{server_id}/versions")).json()["items"][0]["restores"] == 1
    assert (await admin.post(f"/servers/{server_id}/unpin")).status_code == 204
    assert (await admin.post(f"/servers/{server_id}/versions/4711/restore")).status_code == 404
