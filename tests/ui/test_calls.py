"""What went wrong with a call, found where a person looks: live, on the tool, on the key and on the server."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import expect

from tests.support.listed import add_listed, tool
from tests.ui.conftest import Person

SECRET = "sk-abcdefghijklmnopqrstuvwxyz"


async def test_a_failed_call_is_seen_live_and_explained_without_its_secrets(person: Person, tmp_path: Path) -> None:
    page, gateway = person.page, person.gateway
    said = f'{{"reason": "no such customer", "password": "hunter22", "key": "{SECRET}"}}'
    failing = {"isError": True, "content": [{"type": "text", "text": said}]}
    await add_listed(gateway.parts, tmp_path, tool("crm", "Finds a customer.", whom="Whom"), result=failing)

    await person.go("/calls?outcome=problem")
    await expect(page.locator("#live")).to_have_text("live")
    await gateway.call("listed__crm", {"whom": "Ada", "token": SECRET})
    await gateway.call("tool_search", {"query": "find a customer"})
    row = page.locator("#calls tbody tr.new")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("tool error")
    await row.locator("summary").click()
    await expect(row).to_contain_text("no such customer")
    await expect(row).to_contain_text("Ada")
    text = await row.inner_text()
    assert SECRET not in text
    assert "hunter22" not in text

    await page.select_option("#outcome", "")
    await expect(page.locator("#calls tbody tr")).to_have_count(2)
    await page.select_option("#kind", "search")
    await expect(page.locator("#calls tbody tr")).to_have_count(1)
    await expect(page.locator("#calls tbody tr")).to_contain_text("find a customer")
    await page.click("[data-pause]")
    await expect(page.locator("#live")).to_have_text("paused")

    for path in ("/tools/1", "/servers/1", "/keys/1"):
        await person.go(path)
        await expect(page.locator("section:has(#calls)")).to_contain_text("no such customer")


async def test_a_key_is_changed_and_its_example_finds_something(person: Person, tmp_path: Path) -> None:
    page, gateway = person.page, person.gateway
    await add_listed(gateway.parts, tmp_path, tool("crm", "Finds the customer (or it's a lead).", whom="Whom"))
    await person.go("/keys")
    await page.click("text=test")
    await page.fill("#name", "laptop")
    await page.select_option("#days", "1")
    await page.click("text=Save")
    await expect(page.locator("h1")).to_contain_text("laptop")
    await expect(page.locator(".head")).to_contain_text("expires in")
    await page.click("text=Connect a client")
    await expect(page.locator("#curl")).to_contain_text('"query": "finds the customer"')
    answer = await gateway.call("tool_search", {"query": "finds the customer"})
    assert '"total_found":1' in answer["content"][0]["text"].replace(" ", "")


async def test_the_log_of_the_gateway_is_there_to_be_read(person: Person) -> None:
    page = person.page
    await page.goto(f"{person.gateway.url}/admin/log")
    await page.fill("#text", "no line has this text")
    await expect(page.locator("#log tbody")).to_contain_text("No line matches")
