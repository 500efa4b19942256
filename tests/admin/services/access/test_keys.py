"""API keys of MCP clients through the REST API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway


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


async def test_a_right_is_given_shown_and_taken_away(admin: Person) -> None:
    made = (await admin.post("/keys", {"name": "connector", "roles": ["all"], "rights": ["embed"]})).json()
    assert (await admin.get(f"/keys/{made['id']}")).json()["rights"] == ["embed"]
    changed = await admin.put(f"/keys/{made['id']}", {"name": "connector", "roles": ["all"]})
    assert changed.json()["rights"] == []
    refused = await admin.post("/keys", {"name": "connector", "roles": ["all"], "rights": ["rule"]})
    assert refused.status_code == 422
