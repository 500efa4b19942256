"""Profiles through the REST API."""

from __future__ import annotations

from pathlib import Path

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway, add_local_mcp


async def test_a_profile_is_a_selection_with_an_endpoint(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    profile = (await admin.post("/profiles", {"name": "maths", "list_mode": "all"})).json()
    assert profile["path"] == "/mcp/p/maths"
    selected = await admin.post(
        f"/profiles/{profile['id']}/rules", {"rules": [{"visibility": "SEARCH", "pattern": "*calc*"}]}
    )
    assert selected.status_code == 200, selected.text
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"X-API-Key": gateway.key}
    listed = (await gateway.http.post(profile["path"], json=body, headers=headers)).json()["result"]["tools"]
    assert [tool["name"] for tool in listed if "__" in tool["name"]] == ["local_mcp__calculator"]
    changed = await admin.patch(f"/profiles/{profile['id']}", {"version": profile["version"], "list_mode": "search"})
    assert changed.json()["list_mode"] == "search"
    assert (await admin.patch(f"/profiles/{profile['id']}", {"version": 1, "name": "x"})).status_code == 409
    assert (await admin.delete(f"/profiles/{profile['id']}")).status_code == 204
    assert (await gateway.http.post(profile["path"], json=body, headers=headers)).status_code == 404
    assert (await admin.post("/profiles", {"name": "No Spaces"})).json()["field"] == "name"
