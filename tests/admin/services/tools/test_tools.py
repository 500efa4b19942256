"""Tools through the REST API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.admin.conftest import Person
from tests.support.catalogue import direct_connection
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
    assert tool["roles"] == [{"role_id": 1, "role": "all", "visibility": "SEARCH", "rule_id": None, "tool_rule": None}]
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


async def test_duplicates_are_shown_across_servers_and_as_far_as_a_role_can_find_them(
    gateway: RunningGateway, admin: Person, server_id: int, tmp_path: Path
) -> None:
    await add_local_mcp(gateway.parts, tmp_path, name="Spare MCP")
    found = (await admin.get("/tools/duplicates")).json()
    assert (found["compared"], found["complete"], len(found["groups"])) == (8, True, 4)
    assert {tool["server_name"] for tool in found["groups"][0]["tools"]} == {"Local MCP", "Spare MCP"}
    role = (await admin.post("/roles", {"name": "few"})).json()["id"]
    await admin.post(f"/roles/{role}/rules", {"rules": [{"visibility": "SEARCH", "pattern": "local_mcp__*"}]})
    assert (await admin.get("/tools/duplicates", role_id=role)).json() == {
        "groups": [],
        "compared": 4,
        "complete": True,
    }
    spare, own = (
        next(tool["id"] for tool in found["groups"][0]["tools"] if tool["server_name"] == server)
        for server in ("Spare MCP", "Local MCP")
    )
    assert (await admin.get(f"/tools/{spare}/similar")).json()[0]["id"] == own
    assert (await admin.get(f"/tools/{spare}/similar", role_id=role)).status_code == 404
    near = (await admin.get(f"/tools/{own}/similar", role_id=role, limit=50)).json()
    assert {tool["server_name"] for tool in near} == {"Local MCP"}
    assert (await admin.get("/tools/duplicates", threshold="0.2")).status_code == 422
    page = (await admin.http.get("/admin/t/default/duplicates", params={"threshold": "0.9", "servers": "same"})).text
    assert "spare_mcp__calculator" in page
    page = (await admin.http.get("/admin/t/default/duplicates", params={"role": role})).text
    assert "No two of 4 tools do the same" in page


async def test_a_tool_whose_combined_text_has_no_vector_is_compared_with_nothing(
    gateway: RunningGateway, viewer: Person, server_id: int
) -> None:
    tool = await _id_of(viewer, "calculator")
    async with direct_connection(gateway.parts.database) as connection:
        await connection.execute("UPDATE tool_embeddings SET combined_embedding = NULL WHERE tool_id = $1", tool)
    assert (await viewer.get(f"/tools/{tool}")).json()["similar"] == []
    other = (await viewer.get(f"/tools/{await _id_of(viewer, 'search_files')}")).json()
    assert "calculator" not in {each["name"] for each in other["similar"]}
    assert len((await viewer.get("/map")).json()["points"]) == 3


async def test_a_tool_is_tried_and_its_result_comes_untouched(admin: Person, server_id: int) -> None:
    tool = await _id_of(admin, "calculator")
    tried = (await admin.post(f"/tools/{tool}/call", {"arguments": {"expression": "6*7"}})).json()
    assert tried["result"]["structuredContent"]["result"] == 42
    assert tried["milliseconds"] > 0
    bad = (await admin.post(f"/tools/{tool}/call", {"arguments": {}})).json()
    assert bad["error"] is not None or bad["result"]["isError"]
    await admin.post(f"/servers/{server_id}/disable")
    assert (await admin.post(f"/tools/{tool}/call", {})).status_code == 409
