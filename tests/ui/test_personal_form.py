"""As whom calls of a server are made, set in a browser."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from gateway.access.persons import Identity
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.upstream.credentials.credential import AuthorizationCode
from gateway.upstream.credentials.delegation import PersonalExchange, PersonalIdJag, PersonalOAuth
from gateway.upstream.credentials.personal import PersonalHeader, PersonalKind, PersonalSecret
from gateway.upstream.credentials.token_client import TokenClient
from tests.support.gateway import RunningGateway
from tests.ui.conftest import Person

SERVER = re.compile(r"/servers/\d+$")


@pytest.fixture
async def server_id(gateway: RunningGateway) -> int:
    return await gateway.parts.servers.add(1, ServerDefinition("Tracker", "http", url="https://tracker.example/mcp"))


async def personal(gateway: RunningGateway, server_id: int) -> PersonalKind | None:
    return (await gateway.parts.servers.spec(1, server_id)).personal


async def save(page: Page) -> None:
    await page.get_by_role("button", name="Save").click()
    await page.wait_for_url(SERVER)


async def open_form(person: Person, server_id: int) -> None:
    await person.go(f"/servers/{server_id}")
    await person.page.get_by_role("link", name="change", exact=True).click()
    await person.page.wait_for_url("**/personal")


async def test_the_kind_of_credential_is_set_with_the_keyboard_alone(
    person: Person, gateway: RunningGateway, server_id: int
) -> None:
    page = person.page
    await page.set_viewport_size({"width": 360, "height": 740})
    await open_form(person, server_id)
    shown = page.locator(".personal-form :is(input, select, textarea):visible")
    await expect(shown).to_have_count(1)
    await page.focus("#kind")
    # A list goes to what is typed.
    await page.keyboard.type("each by a token")
    await page.keyboard.press("Tab")
    await expect(page.locator("#to")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.type("X Api Key")
    await page.keyboard.press("Enter")
    await expect(page.locator("#place_name-error")).to_contain_text("cannot be the name of the header")
    await expect(page.locator("#place_name")).to_have_attribute("aria-invalid", "true")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    await page.fill("#place_name", "X-Api-Key")
    await page.keyboard.press("Enter")
    await page.wait_for_url(SERVER)
    assert await personal(gateway, server_id) == PersonalSecret("header", "X-Api-Key", "{secret}")
    await expect(page.locator("dl", has_text="Calls are made")).to_contain_text("as each person, by what they give")

    await open_form(person, server_id)
    await expect(page.locator("#place_name")).to_have_value("X-Api-Key")
    await page.select_option("#to", "basic")
    await expect(page.locator("#place_name")).to_be_hidden()
    await save(page)
    assert await personal(gateway, server_id) == PersonalSecret(basic=True)
    await open_form(person, server_id)
    await page.select_option("#kind", "")
    await save(page)
    assert await personal(gateway, server_id) is None


async def test_what_a_proxy_adds_is_named_and_what_cannot_be_is_said_at_its_field(
    person: Person, gateway: RunningGateway, server_id: int
) -> None:
    page = person.page
    await open_form(person, server_id)
    await page.select_option("#kind", "header")
    await page.fill("#from_header", "Authorization")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#from_header-error")).to_contain_text("never passed on")
    await page.fill("#from_header", "X-User-Token")
    await page.fill("#send_as", "Host")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#send_as-error")).to_contain_text("the protocol's own")
    await page.fill("#send_as", "")
    await save(page)
    assert await personal(gateway, server_id) == PersonalHeader("X-User-Token", "X-User-Token")


async def test_secrets_of_clients_are_kept_where_they_are_left_empty_and_never_shown(
    person: Person, gateway: RunningGateway, server_id: int
) -> None:
    page, secret = person.page, "s3cret-of-the-client"
    await open_form(person, server_id)
    await page.select_option("#kind", "exchange")
    await page.fill("#audience", "tracker")
    await page.fill("#client_id", "gateway")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#secret-error")).to_contain_text("needs the client secret")
    await page.fill("#secret", secret)
    await save(page)
    wanted = PersonalExchange(TokenClient("gateway", "client_secret_basic", secret), audience="tracker")
    assert await personal(gateway, server_id) == wanted

    await open_form(person, server_id)
    assert secret not in await page.content()
    await expect(page.locator("#secret-hint")).to_contain_text("Left empty, it stays")
    await page.select_option("#variant", "on_behalf_of")
    await expect(page.locator("#audience")).to_be_hidden()
    await page.fill("#scope", "api://tracker/.default")
    await save(page)
    kept = await personal(gateway, server_id)
    assert isinstance(kept, PersonalExchange)
    assert (kept.client, kept.variant, kept.audience) == (wanted.client, "on_behalf_of", "")
    assert kept.scope == "api://tracker/.default"


async def test_a_secret_goes_to_the_authorization_server_that_it_was_given_for(
    person: Person, gateway: RunningGateway, server_id: int
) -> None:
    page, secret = person.page, "s3cret-of-the-client"
    await open_form(person, server_id)
    await page.select_option("#kind", "oauth")
    await page.fill("#sign_in_issuer", "https://login.example")
    await page.fill("#sign_in_client_id", "gateway")
    await page.fill("#sign_in_client_secret", secret)
    await save(page)
    sign_in = AuthorizationCode("gateway", secret, issuer="https://login.example")
    assert await personal(gateway, server_id) == PersonalOAuth(sign_in)
    await open_form(person, server_id)
    await page.fill("#sign_in_issuer", "https://evil.example")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#sign_in_client_secret-error")).to_contain_text("give it anew")
    assert await personal(gateway, server_id) == PersonalOAuth(sign_in)

    await page.select_option("#kind", "id_jag")
    await page.fill("#issuer", "login.example")
    await page.fill("#client_id", "gateway")
    await page.select_option("#method", "none")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#issuer-error")).to_contain_text("begins with https://")
    await page.fill("#issuer", "https://auth.example")
    await page.get_by_text("The provider knows the gateway as another client").click()
    await page.fill("#provider_client_id", "gateway-there")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#provider_secret-error")).to_contain_text("needs the client secret")
    await page.fill("#provider_secret", secret)
    ann = await gateway.parts.persons.ensure(1, Identity("https://idp.example", "ann"), "Ann")
    await save(page)
    assert await personal(gateway, server_id) == PersonalIdJag(
        "https://auth.example",
        TokenClient("gateway"),
        provider_client=TokenClient("gateway-there", "client_secret_basic", secret),
    )

    await gateway.parts.connections.connect(ann, server_id, "id_jag", {"id_token": "x"})
    await open_form(person, server_id)
    await page.select_option("#list_as", label="Ann")
    await save(page)
    spec = await gateway.parts.servers.spec(1, server_id)
    assert spec.list_as == ann.id
    assert spec.personal == await personal(gateway, server_id)


async def test_a_command_takes_what_is_personal_in_a_variable(person: Person, gateway: RunningGateway) -> None:
    page = person.page
    server_id = await gateway.parts.servers.add(1, ServerDefinition("Notes", "stdio", command="notes"))
    await open_form(person, server_id)
    assert await page.locator("#kind option").count() == 2
    await page.select_option("#kind", "secret")
    await page.fill("#place_name", "LD_PRELOAD")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#place_name-error")).to_contain_text("may not set this variable")
    await page.fill("#place_name", "NOTES_TOKEN")
    await save(page)
    assert await personal(gateway, server_id) == PersonalSecret("env", "NOTES_TOKEN", "{secret}")
