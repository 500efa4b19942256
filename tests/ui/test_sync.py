"""Syncs that are watched in the browser."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.sync.server_sync import OnSyncProgress, ServerSync, SyncProgress
from gateway.catalog.sync.sync_result import SyncResult
from tests.support.gateway import RunningGateway
from tests.ui.conftest import Person

SCRIPT = Path(__file__).parent / "slow_server.py"
TOOLS = 150


@dataclass(frozen=True, slots=True)
class SlowServer:
    """A server whose listing waits until `let_go`."""

    id: int
    folder: Path

    def let_go(self) -> None:
        (self.folder / "gate").touch()

    @property
    def listings(self) -> int:
        return len((self.folder / "listings").read_text().splitlines())


@pytest.fixture
async def slow(gateway: RunningGateway, tenant_id: int, tmp_path: Path) -> AsyncIterator[SlowServer]:
    args = ("-I", "-S", str(SCRIPT), str(tmp_path / "gate"), str(TOOLS))
    new = ServerDefinition("Slow", "stdio", command=sys.executable, args=args)
    server = SlowServer(await gateway.parts.servers.add(tenant_id, new), tmp_path)
    yield server
    server.let_go()


async def test_a_sync_shows_each_step_as_it_goes_and_what_came_of_it(person: Person, slow: SlowServer) -> None:
    page = person.page
    await person.go("/servers")
    row = page.locator(f"#server-{slow.id}")
    await expect(row).to_contain_text("never synced")
    await row.locator("button").click()
    await expect(row).to_contain_text("Connecting and listing")
    await expect(row).to_contain_text("syncing")
    slow.let_go()
    await expect(row).to_contain_text(f"{TOOLS} added")
    await expect(row.locator("[data-label=Tools]")).to_have_text(str(TOOLS))
    await expect(row.locator("button")).to_be_enabled()

    # A second sync embeds nothing, and says so.
    await row.locator("button").click()
    await expect(row).to_contain_text(f"{TOOLS} unchanged; 0 texts embedded, {3 * TOOLS} saved")


async def test_a_sync_says_how_much_is_embedded_and_when_it_is_stored(
    person: Person, slow: SlowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_shown = {"embed": asyncio.Event(), "store": asyncio.Event()}

    async def run(sync: ServerSync, tenant_id: int, server_id: int, on_progress: OnSyncProgress) -> SyncResult:
        on_progress(SyncProgress("Slow", "embed", 64, 450))
        await is_shown["embed"].wait()
        on_progress(SyncProgress("Slow", "store", 450, 450))
        await is_shown["store"].wait()
        return SyncResult("Slow", unchanged=3)

    monkeypatch.setattr(ServerSync, "run", run)
    await person.go("/servers")
    row = person.page.locator(f"#server-{slow.id}")
    await row.locator("button").click()
    await expect(row).to_contain_text("Embedding 64/450")
    is_shown["embed"].set()
    await expect(row).to_contain_text("Storing")
    is_shown["store"].set()
    await expect(row).to_contain_text("3 unchanged")


async def test_a_double_click_on_sync_is_one_sync(person: Person, slow: SlowServer) -> None:
    await person.go("/servers")
    row = person.page.locator(f"#server-{slow.id}")
    await row.locator("button").dblclick()
    await expect(row).to_contain_text("syncing")
    # Another window does not start another one either.
    await person.page.evaluate(
        """async (id) => fetch(`/admin/t/default/servers/${id}/sync`, {method: "POST", headers: {
            "X-CSRF-Token": document.querySelector("[name=csrf_token]").value, "HX-Request": "true"}})""",
        slow.id,
    )
    slow.let_go()
    await expect(row).to_contain_text("added")
    assert slow.listings == 1


async def test_a_lost_connection_shows_and_recovers(person: Person, slow: SlowServer) -> None:
    page = person.page
    await person.go("/servers")

    async def cut(route: Route) -> None:
        await route.abort("connectionreset")

    await page.route("**/servers/events", cut)
    row = page.locator(f"#server-{slow.id}")
    await row.locator("button").click()
    await expect(page.locator("#toast")).to_contain_text("The connection to the gateway was lost")
    await page.unroute("**/servers/events")
    await expect(page.locator("#toast")).not_to_contain_text("lost")
    slow.let_go()
    await expect(row).to_contain_text(f"{TOOLS} added")


async def test_a_server_that_was_added_shows_what_it_has_become_without_a_reload(
    person: Person, tmp_path: Path
) -> None:
    page = person.page
    await person.go("/servers/add")
    await page.fill("#name", "Fresh")
    await page.fill("#command", f"{sys.executable} -I -S {SCRIPT} {tmp_path / 'gate'} 5")
    await page.click("text=Add and sync")
    await expect(page.locator(".head")).to_contain_text("syncing")
    await page.evaluate("window.untouched = true")
    (tmp_path / "gate").touch()
    await expect(page.locator(".head")).to_contain_text("synced")
    await expect(page.locator(".head")).to_contain_text("5 tools")
    await expect(page.locator("#sync-panel")).to_contain_text("5 added")
    assert await page.evaluate("window.untouched")
    await page.click("button:has-text('Sync')")
    await expect(page.locator("#sync-panel")).to_contain_text("5 unchanged")


async def test_a_server_that_cannot_be_reached_says_so_in_its_row(person: Person) -> None:
    page = person.page
    await person.go("/servers/add")
    await page.select_option("#transport", "http")
    await expect(page.locator("#command")).to_be_hidden()
    await page.fill("#name", "Nowhere")
    await page.fill("#url", "ftp://example.com")
    await page.click("text=Add and sync")
    await expect(page.locator(".error, .note.bad").first).to_contain_text("http")
    await expect(page.locator("#name")).to_have_value("Nowhere")
    await expect(page.locator("#url")).to_have_value("ftp://example.com")
    await page.fill("#url", "http://127.0.0.1:9/mcp")
    await page.click("button:has-text('Test')")
    await expect(page.locator("#trial .note.bad")).to_be_visible()
    await page.click("text=Add and sync")
    await expect(page.locator("#sync-panel .error")).to_be_visible()
    await expect(page.locator(".note.bad")).to_have_count(0)
    await person.go("/servers")
    await expect(page.locator("tbody")).to_contain_text("failing since")


async def test_servers_of_a_desktop_client_are_pasted(person: Person, tmp_path: Path) -> None:
    page = person.page
    (tmp_path / "gate").touch()
    await person.go("/servers/add")
    await page.fill("#document", "{not json")
    await page.click("text=Add these and sync")
    await expect(page.locator("#document-error")).to_contain_text("not valid JSON")
    await expect(page.locator("#document")).to_have_value("{not json")
    args = ["-I", "-S", str(SCRIPT), str(tmp_path / "gate"), "2"]
    entry = str({"mcpServers": {"Pasted": {"command": sys.executable, "args": args}}}).replace("'", '"')
    await page.fill("#document", entry)
    await page.click("text=Add these and sync")
    await expect(page.locator("tbody")).to_contain_text("2 added")
