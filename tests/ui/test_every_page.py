"""Every page, light and dark, on a desk and on a phone: seen, weighed, and checked for access."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Request, Response, expect

from gateway.admin.accounts.account import Accounts
from gateway.admin.accounts.password import PasswordHasher
from gateway.guards.rule import GuardRule
from gateway.settings import RegistrySettings, Settings
from tests.doubles.registry import RegistryDouble
from tests.guards.approval.asked_calls import ADA, asked_tool, key_caller
from tests.support.gateway import RunningGateway, add_local_mcp
from tests.support.listed import add_listed, tool
from tests.support.serving import serving
from tests.ui.conftest import NAME, PASSWORD, NewPerson, Person

AXE = (Path(__file__).parent / "assets" / "axe-core-4.14.1.min.js").read_text(encoding="utf-8")
ARTIFACTS = Path(__file__).parents[1] / ".artifacts"
FIRST_LOAD_BYTES = 120 * 1024

PAGES = {
    "overview": "/admin/t/default/overview?window=1h",
    "servers": "/admin/t/default/servers",
    "server": "/admin/t/default/servers/1",
    "limits": "/admin/t/default/servers/1/limits",
    "offerings": "/admin/t/default/servers/1/offerings",
    "add-server": "/admin/t/default/servers/add",
    "registry": "/admin/t/default/servers/registry?q=acme",
    "registry-server": "/admin/t/default/servers/registry/server?name=io.github.acme/notes",
    "personal": "/admin/t/default/servers/1/personal",
    "change-server": "/admin/t/default/servers/1/edit",
    "tools": "/admin/t/default/tools?role=1",
    "tool": "/admin/t/default/tools/1",
    "search": "/admin/t/default/search?q=find+a+file+by+its+name",
    "missed": "/admin/t/default/missed?q=settle+up+with+the+plumber",
    "duplicates": "/admin/t/default/duplicates",
    "map": "/admin/t/default/map",
    "roles": "/admin/t/default/roles",
    "role": "/admin/t/default/roles/1",
    "role-server": "/admin/t/default/roles/1/servers/1",
    "guards": "/admin/t/default/guards",
    "guard": "/admin/t/default/guards/1",
    "keys": "/admin/t/default/keys",
    "key": "/admin/t/default/keys/1",
    "connections": "/admin/t/default/connections",
    "my-connections": "/connections",
    "calls": "/admin/t/default/calls",
    "log": "/admin/log",
    "profiles": "/admin/t/default/profiles",
    "profile": "/admin/t/default/profiles/2",
    "configuration": "/admin/t/default/configuration",
    "settings": "/admin/settings",
    "documentation": "/admin/help",
    "document": "/admin/help/search",
    "changelog": "/admin/help/changelog",
    "approvals": "/admin/t/default/approvals",
    "approval": "/admin/t/default/approvals/{approval}",
    "audit": "/admin/t/default/audit",
    "embedding": "/admin/t/default/embedding",
    "models": "/admin/models",
    "tenants": "/admin/tenants",
    "admins": "/admin/admins",
    "account": "/admin/account",
}


@pytest.fixture
async def settings(settings: Settings) -> AsyncIterator[Settings]:
    async with serving(RegistryDouble().app()) as url:
        yield replace(settings, registry=RegistrySettings(url))


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_page_is_usable_by_everybody(
    theme: Literal["light", "dark"], new_person: NewPerson, gateway: RunningGateway, tmp_path: Path
) -> None:
    approval = await _furnish(gateway, tmp_path)
    somebody = await new_person(color_scheme=theme)
    page = somebody.page
    await page.goto(f"{gateway.url}/signin")
    wrong = await _look(somebody, "sign-in", theme)
    await somebody.sign_in()
    await page.wait_for_url("**/overview")
    links: set[str] = set()
    for name, path in PAGES.items():
        await page.goto(gateway.url + path.format(approval=approval))
        links.update(
            await page.locator("a[href]").evaluate_all(
                "all => all.filter(link => link.origin === location.origin).map(link => link.pathname + link.search)"
            )
        )
        if name == "map":
            await expect(page.locator("canvas[data-drawn]")).to_have_count(1)
        wrong += await _look(somebody, name, theme)
    assert wrong == []
    assert await _dead_links(somebody, links) == []
    assert somebody.console_errors == []
    assert somebody.foreign_requests == []


async def test_the_first_load_is_small_and_stays_at_home(person: Person) -> None:
    sizes: dict[str, int] = {}

    async def weighed(response: Response) -> None:
        spent = await response.request.sizes()
        sizes[response.url] = spent["responseBodySize"] + spent["responseHeadersSize"]

    page = await (await person.page.context.browser.new_context()).new_page()  # type: ignore[union-attr]
    await page.context.add_cookies(await person.page.context.cookies())  # type: ignore[arg-type]
    waiting: list[Any] = []
    page.on("response", lambda response: waiting.append(response))
    await page.goto(f"{person.gateway.url}/admin/t/default/servers", wait_until="networkidle")
    for response in waiting:
        await weighed(response)
    await page.context.close()
    assert len(sizes) >= 4
    assert sum(sizes.values()) < FIRST_LOAD_BYTES
    assert all(url.startswith(person.gateway.url) for url in sizes)


async def test_a_page_that_is_left_open_asks_for_nothing_while_nothing_runs(person: Person) -> None:
    page = person.page
    await page.clock.install()
    asked: list[str] = []

    def note(request: Request) -> None:
        if request.resource_type in ("xhr", "fetch"):
            asked.append(request.url)

    page.on("request", note)
    for path in ("/overview", "/servers", "/tools", "/calls", "/embedding", "/map"):
        await page.goto(f"{person.gateway.url}/admin/t/default{path}", wait_until="load")
        await page.clock.run_for(10 * 60_000)
        # The map loads its points once; what happens is told over the stream that a page has opened.
        assert [url for url in asked if not url.endswith("/map/points")] == [], path


async def test_the_theme_is_switched_and_kept(person: Person) -> None:
    page = person.page
    await page.emulate_media(color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(ground)
    await page.click("[data-theme-toggle]")
    dark = await page.evaluate(ground)
    assert dark != light
    await person.go("/keys")
    assert await page.evaluate(ground) == dark
    await page.click("[data-theme-toggle]")
    assert await page.evaluate(ground) == light


async def test_keys_lead_everywhere(person: Person) -> None:
    page = person.page
    await person.go("/tools")
    await page.keyboard.press("/")
    await expect(page.locator("#q")).to_be_focused()
    await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await expect(page.locator("#keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#keys")).to_be_hidden()
    await page.keyboard.press("g")
    await page.keyboard.press("s")
    await page.wait_for_url("**/servers")
    # The first thing that Tab reaches skips what every page begins with.
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()


async def _dead_links(somebody: Person, links: set[str]) -> list[str]:
    """Links that lead nowhere; one of each kind is tried."""
    kinds = {re.sub(r"\d+", "0", link): link for link in sorted(links)}
    answers = {link: await somebody.page.request.head(somebody.gateway.url + link) for link in kinds.values()}
    return [link for link, answer in answers.items() if answer.status != 200]


async def _look(somebody: Person, name: str, theme: str) -> list[str]:
    """What keeps people from using the page. With SCREENSHOTS in the environment its picture is taken as well."""
    page = somebody.page
    wrong = []
    for width, height in ((360, 740), (1280, 800)):
        await page.set_viewport_size({"width": width, "height": height})
        if "SCREENSHOTS" in os.environ:
            ARTIFACTS.mkdir(exist_ok=True)
            await page.screenshot(path=ARTIFACTS / f"{name}-{theme}-{width}.png")
        if await page.evaluate("document.documentElement.scrollWidth") > width:
            wrong.append(f"{name} is wider than {width} pixels")
        if width < 800 and theme == "dark":
            # What is told apart by width is so in both themes alike.
            continue
        await page.evaluate(AXE)
        found = await page.evaluate("axe.run({resultTypes: ['violations']})")
        wrong += [
            f"{name}, {theme}, {width}: {each['id']} at {each['nodes'][0]['html'][:200]}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]
    return wrong


async def _furnish(gateway: RunningGateway, folder: Path) -> str:
    """Something to see on every page; the id of a call that waits for approval."""
    await Accounts(gateway.parts.database, PasswordHasher()).create(NAME, PASSWORD)
    await gateway.parts.profiles.create(1, "sales", "chosen", "What sales works with.")
    await add_local_mcp(gateway.parts, folder)
    await add_listed(
        gateway.parts,
        folder,
        tool("list_issues", "List the issues of a repository, newest first.", repository="owner/name", state="open"),
        tool("create_issue", "Create an issue in a repository.", repository="owner/name", title="Title", body="Text"),
        tool("search_code", "Search the code of all repositories.", query="What to look for"),
        tool("send_message", "Send a message to a channel.", channel="Name", text="What to say"),
        {"name": "broken", "inputSchema": {"type": "string"}},
        name="GitHub",
    )
    await gateway.parts.guards.rules.set(1, GuardRule("no keys", "secrets", "mask"))
    for query in ("calculate math expressions", "weather in Oslo", "brew coffee", "brew coffee"):
        await gateway.call("tool_search", {"query": query})
    for expression in ("1 + 1", "2 ** 10", "sqrt(2)", "1 +"):
        await gateway.call("local_mcp__calculator", {"expression": expression})
    await gateway.parts.keys.write_last_used()
    bank = await asked_tool(gateway.parts, folder)
    denied = await bank.ask(gateway.parts.approvals, key_caller(1), {"to": "Mallory"})
    await gateway.parts.approvals.decide(1, denied.id, ADA, "denied", "Nobody knows them.")
    return (await bank.ask(gateway.parts.approvals, key_caller(1), {"to": "Eve", "amount": 100})).id
