"""One tool, switched off, called otherwise and pinned by hand, as a person does it in the browser."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.async_api import expect

from tests.support.listed import add_listed, tool
from tests.ui.conftest import Person


async def test_a_tool_is_renamed_pinned_and_switched_off(person: Person, tmp_path: Path) -> None:
    page, gateway = person.page, person.gateway
    server = await add_listed(
        gateway.parts, tmp_path, tool("lookup", "Look up a record.", key="What to look for"), tool("other", "Another.")
    )
    await person.go("/tools?sort=changed")
    await page.click("text=listed__lookup")
    await page.fill("#name", "listed__other")
    await page.click("text=Save override")
    await expect(page.locator("#name-error")).to_have_text(
        "Another tool is called listed__other already; choose another name."
    )
    await page.fill("#name", "find_customer")
    await page.fill("#description", "Finds the customer of an invoice.")
    await page.click("text=Descriptions of parameters")
    await page.fill("#parameter-1", "Number of the invoice")
    await page.click("text=Save override")
    await expect(page.locator("h1")).to_have_text("find_customer")

    await page.select_option("[aria-label='Rule for this tool for all']", "ALLOW")
    await expect(page.locator("td.v-allow")).to_have_text("ALLOW")
    listed = {each["name"]: each for each in (await gateway.request("tools/list"))["result"]["tools"]}
    described = listed["find_customer"]["inputSchema"]["properties"]["key"]["description"]
    assert described == "Number of the invoice"
    await person.go("/tools?state=pinned")
    await expect(page.locator("#tools tbody tr")).to_have_count(1)
    await expect(page.locator("#tools tbody tr")).to_contain_text("overridden")

    server.lists(tool("lookup", "Look up a file.", key="A path"))
    await server.sync()
    await page.click("text=find_customer")
    await expect(page.locator("section:has(#override)")).to_contain_text("Look up a file.")
    await page.click("text=Reset to what the server says")
    await expect(page.locator("h1")).to_have_text("listed__lookup")

    await page.click("text=Disable")
    await expect(page.locator(".note.warn")).to_contain_text("no client lists or finds it")
    assert "listed__lookup" not in json.dumps(await gateway.request("tools/list"))
    await page.click("text=Enable")
    await expect(page.locator("button:text-is('Disable')")).to_be_visible()
