"""Signing in and what keeps others out."""

from __future__ import annotations

import re

import httpx2
from playwright.async_api import expect

from gateway.admin.accounts.account import Accounts
from gateway.admin.accounts.password import PasswordHasher
from tests.support.gateway import RunningGateway
from tests.ui.conftest import NAME, PASSWORD, NewPerson, Person


async def test_a_wrong_password_is_told_and_repeated_ones_have_to_wait(
    new_person: NewPerson, gateway: RunningGateway
) -> None:
    await Accounts(gateway.parts.database, PasswordHasher()).create(NAME, PASSWORD)
    somebody = await new_person()
    await somebody.sign_in(password="wrong")
    await expect(somebody.page.locator(".note.bad")).to_have_text("The name or the password is wrong.")
    await expect(somebody.page.locator("#name")).to_have_value(NAME)
    for _ in range(6):
        await somebody.sign_in(password="wrong")
    await expect(somebody.page.locator(".note.bad")).to_contain_text("Too many attempts to sign in have failed")
    # The right password has to wait too.
    await somebody.sign_in()
    await expect(somebody.page.locator(".note.bad")).to_contain_text("Too many attempts")


async def test_a_session_that_ended_leads_to_sign_in_and_back(person: Person) -> None:
    page = person.page
    await person.go("/tools?q=calc")
    await page.context.clear_cookies()
    # A part of a page that is asked for leads there too.
    await page.fill("#q", "weather")
    await page.wait_for_url(re.compile(r"/signin\?next="))
    await person.sign_in()
    await page.wait_for_url(re.compile(r"/admin/t/default/tools\?q=calc"))
    await page.context.clear_cookies()
    await person.go("/roles")
    await page.wait_for_url(re.compile(r"/signin\?next=/admin/t/default/roles"))
    await person.sign_in()
    await page.wait_for_url("**/admin/t/default/roles")
    await page.click("text=Sign out")
    await page.wait_for_url("**/signin")
    await person.go("/roles")
    await page.wait_for_url(re.compile(r"/signin\?next="))


async def test_sign_in_leads_nowhere_else(new_person: NewPerson, gateway: RunningGateway) -> None:
    await Accounts(gateway.parts.database, PasswordHasher()).create(NAME, PASSWORD)
    for going in ("https://evil.example", "//evil.example", "/admin\\@evil.example", "/mcp"):
        somebody = await new_person()
        await somebody.page.goto(f"{gateway.url}/signin?next={going}")
        await somebody.sign_in()
        await somebody.page.wait_for_url(f"{gateway.url}/admin/t/default/overview")


async def test_a_change_without_the_token_of_the_session_or_from_another_site_is_refused(person: Person) -> None:
    cookies = {each["name"]: each["value"] for each in await person.page.context.cookies()}
    host = person.gateway.url
    async with httpx2.AsyncClient(base_url=host, cookies=cookies) as http:
        form = {"name": "mine", "default_visibility": "ALLOW"}
        for headers, sent in (
            ({}, form),
            ({}, {**form, "csrf_token": "0" * 64}),
            ({"Origin": "https://evil.example"}, form),
            ({"Sec-Fetch-Site": "cross-site"}, form),
        ):
            response = await http.post("/admin/t/default/roles", data=sent, headers=headers)
            assert response.status_code == 403
        assert (await http.get("/admin", headers={"Host": "evil.example"})).status_code == 421
        page = await http.get("/admin/t/default/roles")
    assert "mine" not in page.text
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


async def test_a_viewer_looks_and_changes_nothing(new_person: NewPerson, gateway: RunningGateway) -> None:
    await Accounts(gateway.parts.database, PasswordHasher()).create("eve", PASSWORD, "viewer")
    viewer = await new_person()
    await viewer.sign_in("eve")
    await viewer.page.wait_for_url("**/overview")
    await viewer.go("/servers")
    await expect(viewer.page.locator("text=Add server")).to_have_count(0)
    answer = await viewer.page.evaluate(
        """async () => (await fetch("/admin/t/default/servers/sync", {method: "POST", headers: {
            "X-CSRF-Token": document.querySelector("[name=csrf_token]").value}})).status"""
    )
    assert answer == 403


async def test_ones_own_password_is_changed_and_a_token_is_shown_once(person: Person) -> None:
    page = person.page
    await page.goto(f"{person.gateway.url}/admin/account")
    await page.fill("#current_password", "not it")
    await page.fill("#new_password", "another long one")
    await page.click("text=Change password")
    await expect(page.locator("#current_password-error")).to_be_visible()
    await page.fill("#current_password", PASSWORD)
    await page.fill("#new_password", "another long one")
    await page.click("text=Change password")
    await expect(page.locator("[role=status].good")).to_contain_text("is changed")
    await page.fill("#name", "script")
    await page.click("text=Create token")
    await expect(page.locator("#token")).to_contain_text("mga_")
    await page.goto(f"{person.gateway.url}/admin/account")
    await expect(page.locator("#token")).to_have_count(0)
    await expect(page.locator("tbody")).to_contain_text("script")
