"""The index in a cluster, in the browser."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from playwright.async_api import expect

from gateway.search.index.opensearch.index_overview import IndexOverview
from gateway.settings import OpenSearchSettings, Settings
from tests.support.catalogue import add_tools
from tests.support.waiting import until
from tests.ui.conftest import Person
from tests.ui.test_every_page import ARTIFACTS, AXE


@pytest.fixture
def settings(settings: Settings, opensearch: OpenSearchSettings) -> Settings:
    return replace(settings, search=replace(settings.search, index="opensearch"), opensearch=opensearch)


async def test_an_index_is_built_anew_and_dropped_before_ones_eyes(person: Person) -> None:
    page, parts = person.page, person.gateway.parts
    await add_tools(parts.database, 1, [("git", "commit", "git"), ("git", "push", "git")])
    await parts.spaces.active_space()
    cluster = parts.search_cluster
    assert cluster is not None
    overview = IndexOverview(parts.database, cluster.client)

    async def serving() -> str:
        """The name of the index, once there is but one and it has all tools; empty before."""
        indexes = (await overview.view()).indexes
        ready = len(indexes) == 1 and indexes[0].state == "serving" and indexes[0].documents == 2
        return indexes[0].name if ready else ""

    section = page.locator("section[aria-labelledby=index]")
    before = ""

    async def one_serves() -> bool:
        nonlocal before
        before = await serving()
        return before != ""

    await until(one_serves, 60)
    await person.go("/embedding")
    await expect(section.locator("tbody")).to_contain_text(before)
    await expect(section.locator("tbody")).to_contain_text("2 of 2")
    for width in (360, 1280):
        await page.set_viewport_size({"width": width, "height": 800})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        if "SCREENSHOTS" in os.environ:
            ARTIFACTS.mkdir(exist_ok=True)
            await page.screenshot(path=ARTIFACTS / f"index-{width}.png", full_page=True)
    await page.evaluate(AXE)
    found = await page.evaluate("axe.run({resultTypes: ['violations']})")
    assert [each["id"] for each in found["violations"] if each["impact"] in ("serious", "critical")] == []
    await page.click("button:has-text('Build anew')")

    async def another() -> bool:
        return await serving() not in ("", before)

    await until(another, 60)
    after = await serving()
    await person.go("/embedding")
    await section.locator("summary").first.click()
    await section.locator("button:has-text('Drop it')").first.click()

    async def gone() -> bool:
        return after not in [each.name for each in (await overview.view()).indexes]

    await until(gone, 60)
    assert person.console_errors == []
