"""Adding a server that the registry lists, in a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from playwright.async_api import expect

from gateway.settings import RegistrySettings, Settings
from tests.doubles.registry import RegistryDouble
from tests.support.serving import serving
from tests.ui.conftest import Person


@pytest.fixture
async def settings(settings: Settings) -> AsyncIterator[Settings]:
    async with serving(RegistryDouble().app()) as url:
        yield replace(settings, registry=RegistrySettings(url))


async def test_a_server_is_searched_chosen_and_added_disabled(person: Person) -> None:
    await person.go("/servers")
    await person.page.click("text=Add server")
    await person.page.click("text=From the registry")
    await person.page.fill("#q", "notes")
    await person.page.press("#q", "Enter")
    await person.page.click("#found a")
    await expect(person.page.locator("h1")).to_have_text("io.github.acme/notes")
    await person.page.get_by_label("NOTES_TOKEN").fill("s3cret")
    await person.page.get_by_label("folder").fill("/srv")
    await person.page.get_by_label("home").fill("/home/ada")
    await person.page.click("text=Add, disabled")
    await person.page.wait_for_url("**/servers/1")
    await expect(person.page.locator(".head .tag")).to_have_text("disabled")
    await expect(person.page.locator("main")).to_contain_text("npx -y --quiet @acme/notes@1.2.3")
