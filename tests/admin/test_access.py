"""Roles, rules, keys, profiles, tenants and admins through the REST API."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.admin.conftest import PASSWORD, Person, SignInAs
from tests.support.gateway import RunningGateway, add_local_mcp


async def _found(gateway: RunningGateway, key: str, query: str = "calculate") -> list[str]:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    params = {"name": "tool_search", "arguments": {"query": query}}
    response = await gateway.post({**body, "params": params}, **{"X-API-Key": key})
    answer = json.loads(response.json()["result"]["content"][0]["text"])
    return [tool["_metadata"]["tool"] for tool in answer["tools"]]


async def test_a_role_is_made_changed_and_removed(admin: Person) -> None:
    role = (await admin.post("/roles", {"name": "ops", "description": "people on call"})).json()
    assert (role["default_visibility"], role["version"]) == ("DENY", 1)
    assert (await admin.post("/roles", {"name": "ops"})).status_code == 409
    changed = await admin.patch(f"/roles/{role['id']}", {"version": 1, "default_visibility": "SEARCH"})
    assert changed.json()["version"] == 2
    assert (await admin.delete(f"/roles/{role['id']}")).status_code == 204
    assert (await admin.get(f"/roles/{role['id']}")).status_code == 404


async def test_of_two_admins_who_change_a_role_at_once_one_is_told(admin: Person) -> None:
    role = (await admin.post("/roles", {"name": "ops"})).json()["id"]
    bodies = [{"version": 1, "description": text} for text in ("one", "two")]
    answers = await asyncio.gather(*(admin.patch(f"/roles/{role}", body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200, 409]


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
    assert await _found(gateway, key) == ["calculator"]

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


async def test_a_key_is_shown_once_and_ends_at_once(gateway: RunningGateway, admin: Person) -> None:
    made = (await admin.post("/keys", {"name": "bot", "roles": ["all"], "note": "for ci", "calls_per_day": 10})).json()
    listed = (await admin.get("/keys")).text
    assert made["key"] not in listed
    card = (await admin.get(f"/keys/{made['id']}")).json()
    assert (card["state"], card["note"], card["calls_per_day"]) == ("in force", "for ci", 10)
    assert (await gateway.post({}, **{"X-API-Key": made["key"]})).status_code != 401
    assert (await admin.delete(f"/keys/{made['id']}")).status_code == 204
    assert (await gateway.post({}, **{"X-API-Key": made["key"]})).status_code == 401
    assert (await admin.delete(f"/keys/{made['id']}")).status_code == 404


async def test_a_key_is_changed_and_rotated_with_an_overlap(gateway: RunningGateway, admin: Person) -> None:
    made = (await admin.post("/keys", {"name": "bot", "roles": ["all"]})).json()
    changed = await admin.put(f"/keys/{made['id']}", {"name": "robot", "roles": ["all"], "requests_per_minute": 60})
    assert (changed.json()["name"], changed.json()["requests_per_minute"]) == ("robot", 60)
    rotated = (await admin.post(f"/keys/{made['id']}/rotate", {"overlap_seconds": 60})).json()
    assert (await admin.get(f"/keys/{rotated['id']}")).json()["replaces"] == made["id"]
    for key in (made["key"], rotated["key"]):
        assert (await gateway.post({}, **{"X-API-Key": key})).status_code != 401
    at_once = (await admin.post(f"/keys/{rotated['id']}/rotate", {})).json()
    assert (await gateway.post({}, **{"X-API-Key": rotated["key"]})).status_code == 401
    assert (await gateway.post({}, **{"X-API-Key": at_once["key"]})).status_code != 401


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"name": ""}, 422, "name"),
        ({"roles": []}, 422, "roles"),
        ({"roles": ["nope"]}, 404, None),
        ({"expires_at": "2001-01-01T00:00:00Z"}, 422, "expires_at"),
        ({"expires_at": "2099-01-01T00:00:00"}, 422, "expires_at"),
        ({"calls_per_day": 0}, 422, "calls_per_day"),
    ],
)
async def test_a_bad_key_is_told_at_its_field(
    admin: Person, change: dict[str, Any], status: int, field: str | None
) -> None:
    response = await admin.post("/keys", {"name": "bot", "roles": ["all"], **change})
    assert (response.status_code, response.json()["field"]) == (status, field)


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


async def test_a_tenant_is_made_suspended_and_removed_after_its_slug_is_typed(
    gateway: RunningGateway, admin: Person
) -> None:
    tenant = (await admin.post("/tenants", {"slug": "acme", "name": "Acme"})).json()
    await admin.post("/roles", {"name": "all", "default_visibility": "SEARCH"}, tenant="acme")
    key = (await admin.post("/keys", {"name": "bot", "roles": ["all"]}, tenant="acme")).json()["key"]
    assert (await gateway.post({}, **{"X-API-Key": key})).status_code != 401
    suspended = await admin.patch(f"/tenants/{tenant['id']}", {"suspended": True, "name": "Acme Ltd"})
    assert suspended.json()["suspended_at"] is not None
    assert suspended.json()["name"] == "Acme Ltd"
    assert (await gateway.post({}, **{"X-API-Key": key})).status_code == 401
    refused = await admin.delete(f"/tenants/{tenant['id']}", confirmation="acm")
    assert (refused.status_code, refused.json()["field"]) == (422, "confirmation")
    assert (await admin.delete(f"/tenants/{tenant['id']}", confirmation="acme")).status_code == 204
    assert (await admin.get("/servers", tenant="acme")).status_code == 404
    assert (await admin.delete("/tenants/1", confirmation="default")).status_code == 422


async def test_an_admin_is_made_limited_and_removed(admin: Person, sign_in_as: SignInAs) -> None:
    await admin.post("/tenants", {"slug": "acme"})
    body = {"name": "bob", "password": "a good password", "role": "viewer", "tenants": ["acme"]}
    made = (await admin.post("/admins", body)).json()
    assert (made["role"], made["tenants"], made["every_tenant"]) == ("viewer", ["acme"], False)
    change = {"role": "admin", "version": made["version"]}
    changed = (await admin.put(f"/admins/{made['id']}", change)).json()
    assert (changed["role"], changed["every_tenant"]) == ("admin", True)
    assert (await admin.put(f"/admins/{made['id']}", change)).status_code == 409
    assert (await admin.delete(f"/admins/{made['id']}")).status_code == 204


async def test_a_changed_role_holds_for_the_next_request(admin: Person, viewer: Person) -> None:
    accounts = {account["name"]: account for account in (await admin.get("/admins")).json()}
    body = {"role": "admin", "version": accounts["vic"]["version"]}
    assert (await viewer.post("/roles", {"name": "x"})).status_code == 403
    await admin.put(f"/admins/{accounts['vic']['id']}", body)
    assert (await viewer.post("/roles", {"name": "x"})).status_code == 201


async def test_a_removed_admin_is_out_at_once(admin: Person, viewer: Person) -> None:
    accounts = {account["name"]: account["id"] for account in (await admin.get("/admins")).json()}
    await admin.delete(f"/admins/{accounts['vic']}")
    assert (await viewer.get("/session")).status_code == 401


async def test_a_password_set_by_another_ends_the_sessions(admin: Person, viewer: Person) -> None:
    accounts = {account["name"]: account["id"] for account in (await admin.get("/admins")).json()}
    short = await admin.put(f"/admins/{accounts['vic']}/password", {"password": "short"})
    assert short.json()["field"] == "password"
    await admin.put(f"/admins/{accounts['vic']}/password", {"password": "another good one"})
    assert (await viewer.get("/session")).status_code == 401


async def test_somebody_who_may_change_everything_always_stays(admin: Person, sign_in_as: SignInAs) -> None:
    accounts = {account["name"]: account for account in (await admin.get("/admins")).json()}
    ada = accounts["ada"]
    assert (await admin.delete(f"/admins/{ada['id']}")).status_code == 409
    demoted = await admin.put(f"/admins/{ada['id']}", {"role": "viewer", "version": ada["version"]})
    assert demoted.status_code == 409
    assert "may change everything" in demoted.json()["detail"]


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"password": "short"}, 422, "password"),
        ({"name": " padded "}, 422, "name"),
        ({"name": "ADA"}, 409, None),
        ({"tenants": []}, 422, "tenants"),
        ({"tenants": ["nope"]}, 404, None),
        ({"role": "boss"}, 422, "role"),
    ],
)
async def test_a_bad_account_is_told_at_its_field(
    admin: Person, change: dict[str, Any], status: int, field: str | None
) -> None:
    response = await admin.post("/admins", {"name": "bob", "password": PASSWORD, **change})
    assert (response.status_code, response.json()["field"]) == (status, field)


async def test_settings_are_shown_with_secrets_masked(admin: Person) -> None:
    settings = (await admin.get("/settings")).json()
    assert settings["database"]["url"] == "********"
    assert settings["search"]["threshold"] == 0.5
