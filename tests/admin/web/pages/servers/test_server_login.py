"""Signing in to a server that asks for it, from its page to a call of its tool."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator

import httpx2
import pytest

from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.upstream.credentials.credential import AuthorizationCode
from tests.admin.conftest import Person
from tests.doubles.oauth_server import OAuthServer
from tests.support.gateway import RunningGateway


@pytest.fixture
async def oauth() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().running() as server:
        yield server


async def test_the_page_of_a_server_leads_to_its_sign_in_and_back(
    gateway: RunningGateway, admin: Person, oauth: OAuthServer
) -> None:
    tenant = await tenant_by_slug(gateway.parts.database)
    new = ServerDefinition("Vault", "http", url=f"{oauth.url}/mcp", credential=AuthorizationCode())
    server_id = await gateway.parts.servers.add(tenant.id, new)
    page = await admin.http.post(f"/admin/t/default/servers/{server_id}/login")
    assert page.status_code == 200, page.text
    link = re.search(rf'href="({re.escape(oauth.url)}[^"]+)"', page.text)
    assert link is not None, page.text
    async with httpx2.AsyncClient(follow_redirects=True) as stranger:
        assert "begun in another browser" in (await stranger.get(html.unescape(link[1]))).text
    # The cookie of the session stays at home when another site sends the browser back; this one does not.
    async with httpx2.AsyncClient(follow_redirects=True, cookies=admin.http.cookies) as browser:
        assert "Signed in to Vault." in (await browser.get(html.unescape(link[1]))).text
    await gateway.parts.sync.run(tenant.id, server_id)
    assert (await gateway.call("vault__secret"))["content"][0]["text"] == "for your eyes only"


async def test_with_an_api_token_there_is_no_browser_to_sign_in_with(
    gateway: RunningGateway, admin: Person, oauth: OAuthServer
) -> None:
    tenant = await tenant_by_slug(gateway.parts.database)
    new = ServerDefinition("Vault", "http", url=f"{oauth.url}/mcp", credential=AuthorizationCode())
    server_id = await gateway.parts.servers.add(tenant.id, new)
    begun = await admin.post(f"/servers/{server_id}/login")
    assert begun.status_code == 200
    assert "modelgate_login=" in begun.headers["set-cookie"]
    assert {"httponly", "samesite=lax", "path=/oauth/callback"} <= set(begun.headers["set-cookie"].lower().split("; "))
    token = (await admin.post("/tokens", {"name": "script", "role": "admin"})).json()["token"]
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as script:
        refused = await script.post(f"{gateway.url}/api/v1/servers/{server_id}/login")
    assert (refused.status_code, "modelgate servers login" in refused.text) == (409, True)
