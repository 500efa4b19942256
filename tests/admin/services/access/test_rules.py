"""Rules of roles through the REST API."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway, add_local_mcp


async def _found(gateway: RunningGateway, key: str, query: str = "calculate") -> list[str]:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    params = {"name": "tool_search", "arguments": {"query": query}}
    response = await gateway.post({**body, "params": params}, **{"X-API-Key": key})
    answer = json.loads(response.json()["result"]["content"][0]["text"])
    return [tool["_metadata"]["tool"] for tool in answer["tools"]]


async def test_of_two_admins_who_change_a_rule_at_once_one_is_told(admin: Person) -> None:
    role = (await admin.post("/roles", {"name": "ops"})).json()["id"]
    rules = (await admin.post(f"/roles/{role}/rules", {"rules": [{"visibility": "ALLOW", "pattern": "a*"}]})).json()
    path = f"/roles/{role}/rules/{rules[0]['id']}"
    bodies = [{"version": 1, "visibility": visibility} for visibility in ("DENY", "SEARCH")]
    answers = await asyncio.gather(*(admin.patch(path, body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_rules_hold_for_the_next_request_and_are_explained(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    server_id = await add_local_mcp(gateway.parts, tmp_path)
    role = (await admin.post("/roles", {"name": "ops"})).json()["id"]
    key = (await admin.post("/keys", {"name": "bot", "roles": ["ops"]})).json()["key"]
    assert await _found(gateway, key) == []
    wanted = [{"visibility": "SEARCH", "server_id": server_id}, {"visibility": "DENY", "pattern": "*weather*"}]
    rules = (await admin.post(f"/roles/{role}/rules", {"rules": wanted})).json()
    assert {rule["about"] for rule in rules} == {"server Local MCP", "pattern *weather*"}
    found = await _found(gateway, key)
    assert found[0] == "calculator"
    assert "get_weather" not in found

    matrix = (await admin.get(f"/roles/{role}/matrix")).json()
    assert [(row["searchable"], row["denied"], row["rule"]) for row in matrix] == [(3, 1, "SEARCH")]
    tools = (await admin.get("/tools", text="weather")).json()["items"]
    decision = (await admin.get(f"/roles/{role}/explain/{tools[0]['id']}")).json()
    assert (decision["visibility"], decision["denied_explicitly"]) == ("DENY", True)
    assert "pattern *weather*" in decision["reason"]

    await admin.post(f"/roles/{role}/rules", {"rules": [{"visibility": None, "server_id": server_id}]})
    assert await _found(gateway, key) == []
    left = (await admin.get(f"/roles/{role}/rules")).json()
    assert (await admin.delete(f"/roles/{role}/rules/{left[0]['id']}")).status_code == 204
    assert (await admin.get(f"/roles/{role}/rules")).json() == []


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ([], "rules"),
        ([{"visibility": "ALLOW"}], "rules.0"),
        ([{"visibility": "ALLOW", "pattern": "a", "category": "git"}], "rules.0"),
        ([{"visibility": "MAYBE", "pattern": "a"}], "rules.0.visibility"),
        ([{"visibility": "ALLOW", "category": "nope"}], "rules.0.category"),
    ],
)
async def test_bad_rules_are_told_at_their_field(admin: Person, rules: list[Any], field: str) -> None:
    response = await admin.post("/roles/1/rules", {"rules": rules})
    assert (response.status_code, response.json()["field"]) == (422, field)


async def test_one_rule_that_cannot_be_leaves_all_as_they_were(admin: Person) -> None:
    wanted = [{"visibility": "DENY", "pattern": "a*"}, {"visibility": "ALLOW", "tool_id": 4711}]
    assert (await admin.post("/roles/1/rules", {"rules": wanted})).status_code == 404
    assert (await admin.get("/roles/1/rules")).json() == []
