"""Accounts and one's own tokens by their forms, without a browser."""

from __future__ import annotations

import re

from tests.admin.conftest import PASSWORD, Person

ADMINS = "/admin/admins"
ACCOUNT = "/admin/account"


async def _accounts(admin: Person) -> dict[str, dict[str, object]]:
    return {account["name"]: account for account in (await admin.get("/admins")).json()}


async def test_a_refused_account_is_not_made_for_more_tenants_when_the_form_is_sent_again(admin: Person) -> None:
    for slug in ("north", "east"):
        assert (await admin.post("/tenants", {"slug": slug, "name": slug})).status_code == 201
    form = {"name": "bob", "password": "short", "role": "viewer", "tenants": ["north", "east"]}
    refused = await admin.http.post(ADMINS, data=form)
    assert refused.status_code == 422
    ticked = re.findall(r'name="tenants" value="(\w+)" checked', refused.text)
    assert sorted(ticked) == ["east", "north"]
    assert "short" not in refused.text.partition("<form class")[2].partition("At least")[0]
    made = await admin.http.post(ADMINS, data={**form, "password": PASSWORD, "tenants": ticked})
    assert made.headers["location"] == ADMINS
    bob = (await _accounts(admin))["bob"]
    assert (bob["every_tenant"], bob["tenants"], bob["role"]) == (False, ["east", "north"], "viewer")


async def test_a_password_is_set_and_a_refused_one_is_said_at_its_account(admin: Person, viewer: Person) -> None:
    vic = (await _accounts(admin))["vic"]["id"]
    refused = await admin.http.post(f"{ADMINS}/{vic}/password", data={"password": "short"})
    assert refused.status_code == 422
    assert f'id="password-{vic}-error"' in refused.text
    assert f'id="password-{vic}" name="password"' in refused.text
    assert (await admin.http.post(f"{ADMINS}/{vic}/password", data={"password": "another good one"})).status_code == 303
    assert (await viewer.get("/session")).status_code == 401


async def test_of_an_account_that_is_gone_the_page_says_so(admin: Person, viewer: Person) -> None:
    vic = (await _accounts(admin))["vic"]["id"]
    assert (await admin.http.post(f"{ADMINS}/{vic}/remove")).headers["location"] == ADMINS
    for form, sent in (("remove", {}), ("password", {"password": "another good one"})):
        gone = await admin.http.post(f"{ADMINS}/{vic}/{form}", data=sent)
        assert gone.status_code == 404, form
        assert f"There is no admin {vic}" in gone.text.partition('role="alert">')[2].partition("<")[0], form
    ada = (await _accounts(admin))["ada"]["id"]
    kept = await admin.http.post(f"{ADMINS}/{ada}/remove")
    assert (kept.status_code, "Nobody removes their own account" in kept.text) == (409, True)


async def test_a_token_is_shown_once_opens_the_api_and_is_removed(admin: Person, viewer: Person) -> None:
    made = await viewer.http.post(f"{ACCOUNT}/tokens", data={"name": "nightly", "role": "viewer", "days": "30"})
    token = made.text.partition('<code id="token" class="grow">')[2].partition("</code>")[0]
    viewer.http.cookies.clear()
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await viewer.http.get("/api/v1/keys", headers=bearer)).status_code == 200
    more = await admin.http.post(f"{ACCOUNT}/tokens", data={"name": "", "role": "admin", "days": "365"})
    assert (more.status_code, 'id="name-error"' in more.text) == (422, True)
    assert '<option value="365" selected>' in more.text
    await admin.http.post(f"{ACCOUNT}/tokens", data={"name": "mine", "role": "admin", "days": "0"})
    page = (await admin.http.get(ACCOUNT)).text
    assert token not in page
    (remove,) = re.findall(rf'action="({ACCOUNT}/tokens/\d+/remove)"', page)
    assert (await admin.http.post(remove)).headers["location"] == ACCOUNT
    assert (await admin.http.post(remove)).status_code == 404


async def test_a_viewer_makes_no_token_that_may_write(viewer: Person) -> None:
    refused = await viewer.http.post(f"{ACCOUNT}/tokens", data={"name": "deploy", "role": "admin", "days": "30"})
    assert (refused.status_code, 'id="role-error"' in refused.text) == (422, True)
    assert 'value="deploy"' in refused.text
