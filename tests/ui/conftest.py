"""A real browser in front of a real gateway, and a person in front of both."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright, expect

from gateway.access.tenants import tenant_by_slug
from gateway.admin.accounts.account import Accounts
from gateway.admin.accounts.password import PasswordHasher
from tests.support.gateway import RunningGateway
from tests.ui.chromium import ARGUMENTS, chromium

NAME, PASSWORD = "ada", "correct horse battery"
WAIT_MS = 15_000
expect.set_options(timeout=WAIT_MS)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at a page of the gateway; `console_errors` are what the browser said in its console."""

    page: Page
    gateway: RunningGateway
    console_errors: list[str]
    foreign_requests: list[str]

    async def go(self, path: str) -> None:
        """Open a page of the default tenant."""
        await self.page.goto(f"{self.gateway.url}/admin/t/default{path}")

    async def sign_in(self, name: str = NAME, password: str = PASSWORD) -> None:
        if "/signin" not in self.page.url:
            await self.page.goto(f"{self.gateway.url}/signin")
        await self.page.fill("#name", name)
        await self.page.fill("#password", password)
        await self.page.click("button.primary")


NewPerson = Callable[..., Awaitable[Person]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a module share its browser: to start one takes longer than most of them."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = chromium()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing; install Debian's package chromium.")
        pytest.skip("Chromium is missing; install Debian's package chromium.")
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield launched
        await launched.close()


@pytest.fixture
async def new_person(browser: Browser, gateway: RunningGateway) -> AsyncIterator[NewPerson]:
    """Makes people who are at no page yet; takes the options of a browser context."""
    contexts = []

    async def make(**options: object) -> Person:
        context = await browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})  # type: ignore[arg-type]
        contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(WAIT_MS)
        person = Person(page, gateway, [], [])

        def said(message: ConsoleMessage) -> None:
            # That an answer was not 2xx is no complaint: tests cause such answers on purpose.
            if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
                person.console_errors.append(message.text)

        def asked(request: Request) -> None:
            if not request.url.startswith((gateway.url, "data:")):
                person.foreign_requests.append(request.url)

        page.on("console", said)
        page.on("pageerror", lambda error: person.console_errors.append(str(error)))
        page.on("request", asked)
        return person

    yield make
    for context in contexts:
        await context.close()


@pytest.fixture
async def person(new_person: NewPerson, gateway: RunningGateway) -> AsyncIterator[Person]:
    """An admin who has signed in. Afterwards the browser must not have complained, nor asked anybody else."""
    await Accounts(gateway.parts.database, PasswordHasher()).create(NAME, PASSWORD)
    made = await new_person()
    await made.sign_in()
    await made.page.wait_for_url("**/overview")
    yield made
    assert made.console_errors == []
    assert made.foreign_requests == []


@pytest.fixture
async def tenant_id(gateway: RunningGateway) -> int:
    return (await tenant_by_slug(gateway.parts.database)).id
