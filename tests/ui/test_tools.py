"""Tools: found, tried for real, and hostile."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import expect

from tests.support.gateway import add_local_mcp
from tests.support.listed import add_listed, tool
from tests.ui.conftest import Person

_VERBS = ("create", "list", "close", "search", "export")
SCRIPT = "<script>window.owned = 1</script><img src=x onerror='window.owned = 2'>"
TURNED = "\u202eesrever\u202c\u200b"


async def test_a_tool_is_tried_on_its_real_server(person: Person, tmp_path: Path) -> None:
    page = person.page
    await add_local_mcp(person.gateway.parts, tmp_path)
    await person.go("/tools")
    await page.keyboard.press("/")
    await page.keyboard.type("calcul")
    await expect(page.locator("#tools tbody tr")).to_have_count(1)
    await page.click("#tools tbody a")
    await page.fill("#argument-0", "2 * (3 + 4) ** 2")
    await page.click("#try button.primary")
    await expect(page.locator("#answer")).to_contain_text("98")
    await expect(page.locator("#argument-0")).to_have_value("2 * (3 + 4) ** 2")
    # What the tool itself refuses is told as its own failure.
    await page.fill("#argument-0", "2 +")
    await page.click("#try button.primary")
    await expect(page.locator("#answer")).to_contain_text("tool error")
    await page.click("text=Arguments as JSON")
    await page.fill("#raw", "[1]")
    await page.click("#try button.primary")
    await expect(page.locator("#raw-error")).to_have_text("The arguments have to be a JSON object.")
    await expect(page.locator("#raw")).to_have_value("[1]")


async def test_hostile_tools_run_nothing_and_break_no_layout(person: Person, tmp_path: Path) -> None:
    page = person.page
    parameters = {SCRIPT: SCRIPT, "p" * 3_000: TURNED, "</textarea>": "x" * 50_000}
    await add_listed(
        person.gateway.parts,
        tmp_path,
        tool(SCRIPT[:200], SCRIPT * 5, **parameters),
        tool(f"long_{'y' * 200}", "z" * 200_000),
        tool("turned", TURNED * 50),
        name=f"Evil {SCRIPT.replace('/', '')[:70]}",
    )
    await page.set_viewport_size({"width": 360, "height": 740})
    for path in ("/overview", "/servers", "/tools", "/search?q=script", "/map", "/roles/1", "/audit", "/tools?role=1"):
        await person.go(path)
        await _unharmed(person)
    await person.go("/tools")
    addresses = await page.locator("#tools tbody a").evaluate_all("links => links.map(link => link.href)")
    assert len(addresses) == 3
    for address in addresses:
        await page.goto(address)
        await _unharmed(person)
        # The server answers with the name and arguments that arrived: hostile results, and large ones.
        await page.click("text=Arguments as JSON")
        await page.fill("#raw", '{"text": "%s"}' % ("<script>window.owned=3<\\/script>" + "w" * 1_000_000))
        await page.click("#try button.primary")
        await expect(page.locator("#answer")).to_contain_text("characters)")
        await _unharmed(person)
    assert "\u202e" not in await page.locator("body").inner_text()


async def test_groups_on_the_map_go_by_the_words_that_they_have_in_common(person: Person, tmp_path: Path) -> None:
    things = ("issue", "calendar", "invoice")
    listed = [tool(f"{verb}_{thing}", f"{verb.title()} one {thing}.") for thing in things for verb in _VERBS]
    await add_listed(person.gateway.parts, tmp_path, *listed, name="Office")
    await person.go("/map")
    await expect(person.page.locator("canvas[data-named]")).to_have_count(1)
    for thing in things:
        await expect(person.page.locator("text=Groups:")).to_contain_text(thing)
    await person.page.click(".head a[href$=duplicates]")
    await expect(person.page.locator("main")).to_contain_text("No two of 15 tools do the same")


async def _unharmed(person: Person) -> None:
    """Nothing ran, and nothing sticks out at the side."""
    assert await person.page.evaluate("window.owned") is None
    assert await person.page.evaluate("document.documentElement.scrollWidth") <= 360
