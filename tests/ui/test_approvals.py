"""Calls that wait for a person, in front of that person."""

from __future__ import annotations

import asyncio
from pathlib import Path

from playwright.async_api import expect

from gateway.access.persons import ACCOUNT_ISSUER, Identity
from tests.guards.approval.asked_calls import asked_tool, key_caller
from tests.support.gateway import add_local_mcp
from tests.ui.conftest import Person


async def test_a_call_comes_in_is_looked_at_and_allowed_with_the_keyboard(person: Person, tmp_path: Path) -> None:
    page, gateway = person.page, person.gateway
    await add_local_mcp(gateway.parts, tmp_path)
    await person.go("/roles/1")
    await page.locator("form", has=page.locator("#default_visibility")).locator("#approve").select_option("all")
    await page.click("button:has-text('Save')")
    await page.wait_for_url("**/roles/1")
    await person.go("/approvals")
    await expect(page.locator("#approvals-waiting")).to_contain_text("No call waits for anybody.")
    calling = asyncio.create_task(
        gateway.call("local_mcp__calculator", {"expression": "6*7 <script>alert(1)</script>"})
    )
    await expect(page.locator("#approvals-waiting")).to_contain_text("local_mcp__calculator")
    calling.cancel()

    calling = asyncio.create_task(gateway.call("local_mcp__calculator", {"expression": "6*7"}))
    await expect(page.locator("#approvals-waiting tbody tr")).to_have_count(2)
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.locator("pre")).to_contain_text('"expression": "6*7"')
    await expect(page.locator("main")).to_contain_text("Asked by")
    await expect(page.locator("main")).to_contain_text("What the tool says it does")
    await page.wait_for_load_state("load")
    await page.keyboard.press("a")
    await expect(page.locator("button[data-key=a]")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/approvals")
    assert "42" in str(await calling)
    await page.reload()  # The page came back when the call was allowed, perhaps before it was made.
    await expect(page.locator("main")).to_contain_text("approved and made")

    # The other one holds what would be code in a page.
    await page.click("#approvals-waiting a")
    await expect(page.locator("pre")).to_contain_text("<script>alert(1)</script>")
    await page.fill("#reason", "not this one")
    await page.click("button[data-key=d]")
    await page.wait_for_url("**/approvals")
    await expect(page.locator("#approvals-waiting")).to_contain_text("No call waits for anybody.")


async def test_who_asked_and_who_comes_too_late_are_told_so(person: Person, tmp_path: Path) -> None:
    page, parts = person.page, person.gateway.parts
    bank = await asked_tool(parts, tmp_path)
    row = await parts.database.fetchrow("admin_by_name", "ada")
    assert row is not None
    own = key_caller(7, "hers", acts_for=Identity(ACCOUNT_ISSUER, str(row["id"])))
    asked = await bank.ask(parts.approvals, own, {"to": "Eve"})
    await person.go(f"/approvals/{asked.id}")
    await page.click("button[data-key=a]")
    await expect(page.locator("[role=alert]")).to_contain_text("somebody else has to decide")
    await parts.approvals.withdraw(asked)
    await page.click("button[data-key=d]")
    await expect(page.locator("[role=alert]")).to_contain_text("ada asked for")
    # Whoever waits knows the address without the tenant.
    await page.goto(f"{person.gateway.url}/admin/approvals/{asked.id}")
    await page.wait_for_url(f"**/t/default/approvals/{asked.id}")
    await expect(page.locator("button[data-key=a]")).to_have_count(0)
