"""My connections of people who run nothing, and what they may not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import pytest

from gateway.access.persons import Identity
from gateway.admin.accounts.account import Accounts
from gateway.admin.accounts.password import PasswordHasher
from gateway.components import open_components
from gateway.settings import Settings
from gateway.upstream.credentials.personal import PersonalSecret
from tests.access.connections.conftest import PersonalWorld, add_personal_server
from tests.admin.accounts.provider import CLIENT_ID, Provider, running_provider
from tests.doubles.personal_server import PersonalServer
from tests.support.gateway import running_gateway


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running_provider() as running:
        yield running


@pytest.fixture
async def world(settings: Settings, provider: Provider) -> AsyncIterator[PersonalWorld]:
    """A gateway at which the staff of a company signs in to see their own connections, and its operators as admins."""
    admin = replace(
        settings.admin,
        openid_issuer=provider.url,
        openid_client_id=CLIENT_ID,
        openid_roles=("ops=admin",),
        openid_persons=("staff",),
    )
    async with (
        PersonalServer().running() as server,
        open_components(replace(settings, admin=admin)) as parts,
        running_gateway(parts) as gateway,
    ):
        yield await add_personal_server(gateway, server, PersonalSecret())


async def sign_in(world: PersonalWorld, path: str = "/connections") -> httpx2.AsyncClient:
    """A browser that has come back from the provider."""
    browser = httpx2.AsyncClient(base_url=world.gateway.url, timeout=30)
    begun = await browser.get("/auth/openid", params={"next": path})
    async with httpx2.AsyncClient() as elsewhere:
        sent_back = await elsewhere.get(begun.headers["location"])
    back = await browser.get(sent_back.headers["location"])
    assert back.status_code == 303
    return browser


def csrf_token(page: httpx2.Response) -> str:
    found: list[str] = re.findall(r'name="csrf_token" value="([0-9a-f]+)"', page.text)
    return found[0]


async def test_somebody_of_the_staff_connects_a_server_and_sees_nothing_of_the_admin_side(
    world: PersonalWorld, provider: Provider
) -> None:
    provider.claims |= {"sub": "ann-1", "preferred_username": "ann", "groups": ["staff"]}
    world.server.persons["token-of-ann"] = "ann"
    browser = await sign_in(world, "/admin/t/default/keys")
    page = await browser.get("/connections")
    assert (page.status_code, "Tracker" in page.text, "Signed in as <bdi>ann</bdi>" in page.text) == (200, True, True)
    for path in ("/admin/t/default/keys", "/admin/t/default/connections", "/admin"):
        assert (await browser.get(path)).status_code == 303
    assert (await browser.get("/api/v1/keys")).status_code == 401
    form = await browser.get(f"/connections/servers/{world.server_id}")
    sent = {"csrf_token": csrf_token(form), "secret": "token-of-ann"}
    assert (await browser.post(f"/connections/servers/{world.server_id}", data={"secret": "x"})).status_code == 403
    assert (await browser.post(f"/connections/servers/{world.server_id}", data=sent)).status_code == 303
    # It is the connection of whoever calls with a sign-in at the same provider.
    parts = world.gateway.parts
    person = await parts.persons.ensure(world.tenant_id, Identity(provider.url, "ann-1"))
    connection = await parts.connections.get(world.tenant_id, person.id, world.server_id)
    assert connection is not None
    signed_out = await browser.post("/connections/signout", data={"csrf_token": csrf_token(form)})
    assert signed_out.status_code == 303
    assert (await browser.get("/connections")).status_code == 303
    await browser.aclose()


async def test_two_persons_in_one_browser_are_never_mixed_up(world: PersonalWorld, provider: Provider) -> None:
    provider.claims |= {"sub": "ann-1", "preferred_username": "ann", "groups": ["staff"]}
    world.server.persons |= {"token-of-ann": "ann"}
    browser = await sign_in(world)
    form = await browser.get(f"/connections/servers/{world.server_id}")
    # Before she sends it, somebody else signs in in another tab.
    provider.claims |= {"sub": "ida-1", "preferred_username": "ida", "groups": ["ops"]}
    begun = await browser.get("/auth/openid", params={"next": "/connections"})
    async with httpx2.AsyncClient() as elsewhere:
        sent_back = await elsewhere.get(begun.headers["location"])
    await browser.get(sent_back.headers["location"])
    sent = {"csrf_token": csrf_token(form), "secret": "token-of-ann"}
    refused = await browser.post(f"/connections/servers/{world.server_id}", data=sent)
    assert (refused.status_code, "not of your session" in refused.text) == (403, True)
    assert "Signed in as <bdi>ida</bdi>" in (await browser.get("/connections")).text
    assert await world.gateway.parts.connections.page(world.tenant_id, None, (0, 0), 10) == []
    await browser.aclose()


async def test_who_has_no_group_here_sees_nothing(world: PersonalWorld, provider: Provider) -> None:
    provider.claims |= {"sub": "eve-1", "groups": ["others"]}
    browser = await sign_in(world)
    page = await browser.get("/connections")
    assert page.headers["location"].startswith("/signin?next=/connections")
    await browser.aclose()


async def test_a_key_that_names_an_admin_is_not_for_somebody_who_goes_by_the_same_name(
    world: PersonalWorld, provider: Provider
) -> None:
    parts = world.gateway.parts
    await Accounts(parts.database, PasswordHasher()).create("ann", "correct horse battery")
    await parts.keys.create(world.tenant_id, "for the admin", ["all"], owner="ann")
    await parts.keys.create(world.tenant_id, "for the person", ["all"], owner="ann-1")
    # What people may call themselves counts for nothing.
    provider.claims |= {"sub": "ann-1", "preferred_username": "ann", "name": "the boss", "groups": ["staff"]}
    browser = await sign_in(world)
    page = (await browser.get("/connections")).text
    assert ("for the admin" in page, "for the person" in page, "the boss" in page) == (False, True, False)
    await browser.aclose()
