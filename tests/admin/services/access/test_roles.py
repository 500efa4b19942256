"""Roles through the REST API."""

from __future__ import annotations

import asyncio

from tests.admin.conftest import Person


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
