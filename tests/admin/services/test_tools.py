"""Tools through the REST API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


async def test_tools_are_filtered_and_paged(viewer: Person, server_id: int) -> None:
    page = (await viewer.get("/tools", limit=3)).json()
    assert (len(page["items"]), page["total"]) == (3, 4)
    rest = (await viewer.get("/tools", limit=3, cursor=page["next"])).json()
    assert (len(rest["items"]), rest["next"]) == (1, None)
    names = [item["exposed_name"] for item in page["items"] + rest["items"]]
    assert names == sorted(names)
    for parameters, expected in (
        ({"text": "CALC"}, {"calculator"}),
        ({"text": "c_lculator"}, set()),
        ({"category": "file-system"}, {"search_files"}),
        ({"server_id": 4711}, set()),
        ({"state": "removed"}, set()),
        ({"state": "unembedded"}, set()),
        ({"state": "quarantined"}, set()),
        ({"state": "changed"}, set()),
        ({"state": "flagged"}, set()),
    ):
        items = (await viewer.get("/tools", **parameters)).json()["items"]
        assert {item["name"] for item in items} == expected, parameters


async def test_tools_are_filtered_by_what_a_role_sees(admin: Person, server_id: int) -> None:
    role = (await admin.post("/roles", {"name": "few"})).json()["id"]
    await admin.post(f"/roles/{role}/rules", {"rules": [{"visibility": "ALLOW", "pattern": "*calc*"}]})
    allowed = (await admin.get("/tools", role_id=role, visibility="ALLOW")).json()
    assert [item["name"] for item in allowed["items"]] == ["calculator"]
    assert (await admin.get("/tools", role_id=role, visibility="DENY")).json()["total"] == 3


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"category": "x"}, "category"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
async def test_a_bad_filter_is_told_at_its_field(viewer: Person, parameters: dict[str, Any], field: str) -> None:
    response = await viewer.get("/tools", **parameters)
    assert (response.status_code, response.json()["field"]) == (422, field)


async def test_a_tool_is_shown_with_schema_vectors_roles_and_neighbours(viewer: Person, server_id: int) -> None:
    tool = (await viewer.get(f"/tools/{await _id_of(viewer, 'calculator')}")).json()
    assert tool["definition"]["inputSchema"]["properties"]["expression"]["type"] == "string"
    assert [space["active"] for space in tool["spaces"]] == [True]
    assert tool["roles"] == [{"role_id": 1, "role": "all", "visibility": "SEARCH", "rule_id": None}]
    assert len(tool["similar"]) == 3
    assert all(-1 <= each["similarity"] <= 1 for each in tool["similar"])


async def test_the_same_tool_on_another_server_is_a_likely_duplicate(
    gateway: RunningGateway, viewer: Person, server_id: int, tmp_path: Path
) -> None:
    await add_local_mcp(gateway.parts, tmp_path, name="Local MCP Two")
    tool = (await viewer.get(f"/tools/{await _id_of(viewer, 'calculator')}")).json()
    assert tool["similar"][0]["name"] == "calculator"
    assert tool["similar"][0]["likely_duplicate"]
    drawn = (await viewer.get("/map", query="calculate")).json()
    assert len(drawn["points"]) == 8
    assert len(drawn["duplicates"]) == 4
    assert -1 <= drawn["query"]["x"] <= 1


async def test_a_tool_is_tried_and_its_result_comes_untouched(admin: Person, server_id: int) -> None:
    tool = await _id_of(admin, "calculator")
    tried = (await admin.post(f"/tools/{tool}/call", {"arguments": {"expression": "6*7"}})).json()
    assert tried["result"]["structuredContent"]["result"] == 42
    assert tried["milliseconds"] > 0
    bad = (await admin.post(f"/tools/{tool}/call", {"arguments": {}})).json()
    assert bad["error"] is not None or bad["result"]["isError"]
    await admin.post(f"/servers/{server_id}/disable")
    assert (await admin.post(f"/tools/{tool}/call", {})).status_code == 409
