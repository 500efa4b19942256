"""The palette, and the pages that it leads to: profiles, settings, documents."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import expect

from tests.support.listed import add_listed, tool
from tests.ui.conftest import Person


async def test_the_palette_leads_to_pages_and_things(person: Person, tmp_path: Path) -> None:
    page = person.page
    await add_listed(person.gateway.parts, tmp_path, tool("lookup", "Look up a record."))
    await page.keyboard.press("Control+k")
    await page.keyboard.type("lookup")
    await expect(page.locator("#palette-list li[aria-selected=true]")).to_contain_text("listed__lookup")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("listed__lookup")
    await page.wait_for_load_state("load")

    await page.keyboard.press("Control+k")
    await page.keyboard.type("profi")
    await page.keyboard.press("Enter")
    await page.fill("#name", "Sales team")
    await page.click("text=Create profile")
    await expect(page.locator("#name-error")).to_be_visible()
    await page.fill("#name", "sales")
    await page.select_option("#list_mode", "all")
    await page.click("text=Create profile")
    await expect(page.locator("#endpoint")).to_have_text(f"{person.gateway.url}/mcp/p/sales")
    await page.select_option("#server_id", "1")
    await page.click("button:text-is('Select')")
    await expect(page.locator("section:has(#rules)")).to_contain_text("server Listed")
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answer = await person.gateway.http.post("/mcp/p/sales", json=ask, headers={"X-API-Key": person.gateway.key})
    assert "listed__lookup" in answer.text

    await page.wait_for_load_state("load")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("settings")
    await page.keyboard.press("Enter")
    await page.fill("#q", "embedder.type")
    await page.keyboard.press("Enter")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.locator("tbody tr")).to_contain_text("Environment variable MODELGATE_EMBEDDER_TYPE")

    # The foot of the side is one line.
    foot = [await each.bounding_box() for each in await page.locator(".account .help > *").all()]
    assert max(box["y"] for box in foot if box) < min(box["y"] + box["height"] for box in foot if box)
    await page.click(".account .help >> text=Help")
    await page.click("main >> text=What is new")
    await expect(page.locator("h1")).to_have_text("Changelog")
