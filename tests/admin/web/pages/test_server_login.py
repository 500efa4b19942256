"""Signing in to a server that asks for it, from its page to a call of its tool."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator

import httpx2
import pytest

from gateway.access.tenants import tenant_by_slug
from gateway.catalog.server_definition import ServerDefinition
from gateway.upstream.credential import AuthorizationCode
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
    async with httpx2.AsyncClient(follow_redirects=True) as browser:
        assert "Signed in to Vault." in (await browser.get(html.unescape(link[1]))).text
    await gateway.parts.sync.run(tenant.id, server_id)
    assert (await gateway.call("vault__secret"))["content"][0]["text"] == "for your eyes only"
