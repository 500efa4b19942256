"""Guards in the browser: one is made, tried on the last calls, changed and removed."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import expect

from tests.support.audit import audit_rows
from tests.support.gateway import RunningGateway
from tests.support.listed import add_listed, tool
from tests.ui.conftest import Person


async def test_a_guard_is_made_tried_changed_and_removed(
    person: Person, gateway: RunningGateway, tmp_path: Path
) -> None:
    await add_listed(gateway.parts, tmp_path, tool("send", "Sends it", to="To whom"))
    await gateway.call("listed__send", {"to": "anna@example.org"})
    await audit_rows(gateway.parts.database, action="tool.call")
    page = person.page
    await person.go("/guards")
    await page.fill("#name", "no mail")
    await page.select_option("#guard", "personal")
    await page.select_option("#action", "deny")
    await page.fill("#options", "not JSON")
    await page.get_by_role("button", name="Create guard").click()
    await expect(page.locator("#options-error")).to_contain_text("have to be JSON")
    await page.fill("#options", '{"kinds": ["mail"]}')
    await page.get_by_role("button", name="Create guard").click()
    await page.wait_for_url("**/guards/*")
    await page.get_by_role("button", name="Try on the last calls").click()
    await expect(page.get_by_label("What it would have done")).to_contain_text("1 denied")
    assert (await gateway.call("listed__send", {"to": "anna@example.org"}))["isError"]
    await page.select_option("#action", "observe")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#action")).to_have_value("observe")
    assert not (await gateway.call("listed__send", {"to": "anna@example.org"})).get("isError")
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Remove").click()
    await expect(page.get_by_text("No guards yet.")).to_be_visible()
