"""Accounts of admins through the REST API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.admin.conftest import PASSWORD, Person, SignInAs


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
