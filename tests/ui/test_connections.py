"""Connecting a server as oneself, in a browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from gateway.admin.accounts.account import Accounts
from gateway.admin.accounts.password import PasswordHasher
from gateway.upstream.credentials.personal import PersonalSecret
from tests.access.connections.conftest import PersonalWorld, add_personal_server
from tests.doubles.personal_server import PersonalServer
from tests.support.gateway import RunningGateway
from tests.ui.conftest import NAME, PASSWORD, NewPerson, Person


@pytest.fixture
async def world(gateway: RunningGateway) -> AsyncIterator[PersonalWorld]:
    async with PersonalServer(persons={"listing-token": "the gateway", "token-of-ada": "ada"}).running() as server:
        yield await add_personal_server(gateway, server, PersonalSecret())


async def says(world: PersonalWorld, key: str) -> str:
    params = {"name": "tracker__whoami", "arguments": {}}
    answer = await world.gateway.request("tools/call", params, **{"X-API-Key": key})
    text: str = answer["result"]["content"][0]["text"]
    return text


async def test_a_person_accepts_a_key_connects_a_server_by_the_link_of_a_call_and_disconnects_it(
    person: Person, world: PersonalWorld
) -> None:
    page, key = person.page, await world.gateway.parts.keys.create(world.tenant_id, "agent", ["all"], owner=NAME)
    assert "has not accepted it" in await says(world, key.key)
    await page.click("text=My connections")
    await expect(page.locator("tr", has_text="agent")).to_contain_text("waits for you")
    await page.get_by_role("button", name="Accept agent").click()
    await expect(page.locator(".note.good")).to_have_text("The key acts for you now.")

    link = re.findall(r"http://\S+", await says(world, key.key))[0]
    await page.goto(link)
    await expect(page.locator("h1")).to_have_text("Connect Tracker")
    await page.fill("#secret", "not-a-token")
    await page.click("button.primary")
    await expect(page.locator("#secret-error")).to_contain_text("Tracker refuses it")
    await page.fill("#secret", "token-of-ada")
    await page.click("button.primary")
    await expect(page.locator("h1")).to_have_text("You are connected")
    assert await says(world, key.key) == "whoami as ada"

    await page.click("text=My connections")
    row = page.locator("tr", has_text="Tracker")
    await expect(row).to_contain_text("connected")
    assert "token-of-ada" not in await page.content()
    await row.locator("text=Disconnect").click()
    await expect(page.locator(".note.good")).to_have_text("It is disconnected.")
    await expect(page.locator("tr", has_text="Tracker")).to_contain_text("not connected")
    assert "You have not connected Tracker yet" in await says(world, key.key)


async def test_a_link_that_is_sent_to_a_colleague_connects_nothing(
    person: Person, new_person: NewPerson, world: PersonalWorld
) -> None:
    parts = world.gateway.parts
    key = await parts.keys.create(world.tenant_id, "agent", ["all"], owner=NAME)
    await person.page.goto(f"{world.gateway.url}/connections")
    await person.page.get_by_role("button", name="Accept agent").click()
    await expect(person.page.locator(".note.good")).to_be_visible()
    link = re.findall(r"http://\S+", await says(world, key.key))[0]
    await Accounts(parts.database, PasswordHasher()).create("ben", PASSWORD)
    ben = await new_person()
    await ben.page.goto(link)
    # The page signs in first, and compares then.
    await ben.sign_in("ben")
    await expect(ben.page.locator("body")).to_contain_text("This link was made for somebody else")
    await person.page.goto(link)
    await person.page.fill("#secret", "token-of-ada")
    await person.page.click("button.primary")
    await expect(person.page.locator("h1")).to_have_text("You are connected")
    assert await says(world, key.key) == "whoami as ada"


async def test_an_admin_sees_who_is_connected_and_withdraws_it(person: Person, world: PersonalWorld) -> None:
    ann = await world.add_somebody("ann")
    await world.connect(ann, "token-of-ann")
    assert await world.says(ann) == "whoami as ann"
    await person.go("/connections")
    row = person.page.locator("tr", has_text="Tracker")
    await expect(row).to_contain_text("ann")
    assert "token-of-ann" not in await person.page.content()
    await row.locator("text=Withdraw").click()
    await expect(person.page.locator("main")).to_contain_text("Nobody has connected anything")
    assert "You have not connected Tracker yet" in await world.says(ann)
