"""Roles and keys that are changed in the browser while clients are connected."""

from __future__ import annotations

from pathlib import Path

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from playwright.async_api import expect

from tests.support.gateway import add_local_mcp
from tests.ui.conftest import Person


async def test_a_changed_role_alters_the_list_of_a_connected_client(person: Person, tmp_path: Path) -> None:
    page, gateway = person.page, person.gateway
    await add_local_mcp(gateway.parts, tmp_path)
    await person.go("/roles")
    await page.click("tbody >> text=all")
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {gateway.key}"}, timeout=30) as http,
        Client(streamable_http_client(gateway.mcp, http_client=http), cache=None) as client,
    ):

        async def listed() -> set[str]:
            names = {tool.name for tool in (await client.list_tools()).tools}
            return names - {"tool_search", "tool_call"}

        assert await listed() == set()
        await page.select_option("[aria-label='Rule about Local MCP']", "ALLOW")
        await expect(page.locator("#matrix .figures dd").first).to_contain_text("4 ALLOW")
        assert len(await listed()) == 4

        # A pattern is more specific than the server.
        await page.fill("#pattern", "*weather*")
        await page.click("text=Set rule")
        await expect(page.locator("#matrix")).to_contain_text("*weather*")
        assert "local_mcp__get_weather" not in await listed()

        await page.click("#matrix tbody >> text=Local MCP >> nth=0")
        await page.select_option("[aria-label='Rule about local_mcp__calculator']", "DENY")
        await expect(page.locator("tr:has-text('local_mcp__calculator') td").first).to_have_text("DENY")
        assert await listed() == {"local_mcp__get_system_info", "local_mcp__search_files"}


async def test_a_revoked_key_opens_nothing_and_a_new_one_needs_a_role(person: Person) -> None:
    page, gateway = person.page, person.gateway
    await person.go("/roles")
    await page.fill("#name", "second")
    await page.click("text=Create role")
    await person.go("/keys")
    await page.fill("#name", "robot")
    await page.click("text=Create key")
    await expect(page.locator("#roles-error")).to_be_visible()
    await expect(page.locator("#name")).to_have_value("robot")
    assert (await gateway.post({"jsonrpc": "2.0", "id": 1, "method": "ping"})).status_code == 200
    page.on("dialog", lambda dialog: dialog.accept())
    await page.click("tr:has-text('test') >> text=Revoke")
    await expect(page.locator("tr:has-text('test')")).to_contain_text("revoked")
    assert (await gateway.post({"jsonrpc": "2.0", "id": 1, "method": "ping"})).status_code == 401
