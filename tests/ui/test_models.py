"""Ollama's models in the browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.async_api import expect

from gateway.settings import Settings
from tests.doubles.ollama_server import OllamaServer
from tests.ui.conftest import Person


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with OllamaServer() as ollama:
        yield ollama


@pytest.fixture
def settings(settings: Settings, ollama: OllamaServer) -> Settings:
    return replace(settings, embedder=replace(settings.embedder, type="auto", base_url=ollama.url))


async def test_a_model_is_pulled_before_ones_eyes_tested_and_removed(person: Person, ollama: OllamaServer) -> None:
    page = person.page
    await person.go("/embedding")
    await page.click("text=Clear the cache of queries")
    await page.click("text=Ollama's models")
    await expect(page.locator("#models")).to_contain_text("There is no model yet")
    ollama.hold_pulls()
    await page.fill("#name", "nomic-embed-text")
    await page.click("button:has-text('Pull')")
    await expect(page.locator("#pulls")).to_contain_text("pulling manifest")
    ollama.let_pulls_go()
    await expect(page.locator("#pulls")).to_contain_text("vectors of 256 dimensions")
    await expect(page.locator("#models")).to_contain_text("in the settings")
    await page.click("#models summary:has-text('Test')")
    await page.fill("#text-1", "weather")
    await page.click("#models form[action$=test] button")
    await expect(page.locator("section.card")).to_contain_text("256 dimensions")
    await page.click("#models form[action$=warm] button")
    await expect(page.locator("p.note.good")).to_contain_text("is loaded")
    ollama.undeletable = ("nomic-embed-text:latest",)
    await page.click("#models summary:has-text('Remove')")
    await page.click("#models form[action$=remove] button")
    await expect(page.locator("[role=alert]")).to_contain_text("permission denied")
    ollama.undeletable = ()
    await page.click("#models summary:has-text('Remove')")
    await page.click("#models form[action$=remove] button")
    await expect(page.locator("#models")).to_contain_text("There is no model yet")
