"""From the first start to a client that calls a tool, as somebody who has never seen any of it."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from playwright.async_api import expect

from gateway.admin.accounts.setup import create_setup_token
from tests.support.gateway import LOCAL_MCP, RunningGateway
from tests.ui.conftest import NewPerson

_COUNT_CLICKS = """
addEventListener("click", (event) => {
  if (event.isTrusted) sessionStorage.clicks = 1 + Number(sessionStorage.clicks ?? 0);
}, true);
"""


async def test_five_minutes_lead_from_the_first_start_to_a_client_that_calls_a_tool(
    new_person: NewPerson, gateway: RunningGateway, tmp_path: Path
) -> None:
    somebody = await new_person()
    page = somebody.page
    await page.add_init_script(_COUNT_CLICKS)
    token = await create_setup_token(gateway.parts.database)
    await page.goto(f"{gateway.url}/setup?token={token}")

    # A password that is too short is told at its field, and the name stays.
    await page.fill("#name", "ada")
    await page.fill("#password", "short")
    await page.click("text=Create admin")
    await expect(page.locator("#password-error")).to_contain_text("10 to 1000 characters")
    await expect(page.locator("#name")).to_have_value("ada")
    await page.fill("#password", "correct horse battery")
    await page.click("text=Create admin")

    # What to do next, the first of it: a server, tested before it is saved.
    await expect(page.locator("#next")).to_have_text("What to do next")
    await page.click("text=Add a server")
    await page.fill("#name", "Local MCP")
    await page.fill("#command", f"{sys.executable} {LOCAL_MCP} --root {tmp_path}")
    await page.click("button:has-text('Test')")
    await expect(page.locator("#trial")).to_contain_text("It works: 4 tools")
    await page.click("text=Add and sync")
    await expect(page.locator("#sync-panel")).to_contain_text("4 added")

    await page.click("nav >> text=Search")
    await page.fill("#q", "calculate math expressions")
    await page.keyboard.press("Enter")
    await expect(page.locator("#answer tbody tr").first).to_contain_text("local_mcp__calculator")

    # Who may see what: a role that lists the calculator's server.
    await page.keyboard.press("Escape")
    await page.click("nav >> text=Roles")
    await page.fill("#name", "office")
    await page.click("text=Create role")
    await page.select_option("[aria-label='Rule about Local MCP']", "ALLOW")
    await expect(page.locator("#matrix .figures dd").first).to_contain_text("4 ALLOW")

    await page.click("nav >> text=Keys")
    await page.fill("#name", "laptop")
    await page.check("label:has-text('office') input")
    await page.click("text=Create key")
    key = await page.locator("#key").inner_text()
    assert key.startswith("mg_")
    for named in ("Claude Desktop", "Claude Code", "Cursor", "VS Code", "curl"):
        await expect(page.locator("h2", has_text=named).first).to_be_visible()
    await expect(page.locator("#cursor")).to_contain_text(key)
    assert int(await page.evaluate("sessionStorage.clicks")) <= 12

    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=30) as http,
        Client(streamable_http_client(gateway.mcp, http_client=http)) as client,
    ):
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {"tool_search", "tool_call", "local_mcp__calculator"} <= names
        result = await client.call_tool("local_mcp__calculator", {"expression": "6 * 7"})
        assert "42" in str(result.content)
    await gateway.parts.keys.write_last_used()

    # All is done: the list of next steps is gone.
    await page.goto(f"{gateway.url}/admin")
    await expect(page.locator("h1")).to_have_text("Overview")
    await expect(page.locator("#next")).to_have_count(0)
    assert somebody.console_errors == []
    assert somebody.foreign_requests == []


async def test_a_setup_link_works_once(new_person: NewPerson, gateway: RunningGateway) -> None:
    first, second = await new_person(), await new_person()
    token = await create_setup_token(gateway.parts.database)
    for somebody in (first, second):
        await somebody.page.goto(f"{gateway.url}/setup?token={token}")
        await somebody.page.fill("#password", "correct horse battery")
    await first.page.click("text=Create admin")
    await first.page.wait_for_url("**/overview")
    await second.page.click("text=Create admin")
    await expect(second.page.locator("h1")).to_have_text("This link does not work any more")
