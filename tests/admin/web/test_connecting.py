"""Persons connect servers on the gateway's pages: by signing in there, or here, for which a provider vouches."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from html import unescape

import httpx2
import pytest

from gateway.components import Components, open_components
from gateway.errors import ConnectionNeededError
from gateway.settings import AdminSettings, Settings
from gateway.upstream.credentials.delegation import PersonalIdJag, PersonalOAuth
from gateway.upstream.credentials.token_client import TokenClient
from gateway.upstream.spec import ServerSpec
from tests.access.connections.oauth.conftest import add_server, call_as
from tests.doubles.oauth_server import OAuthServer
from tests.doubles.token_provider import RegisteredClient, TokenProvider
from tests.support.gateway import running_gateway

THERE = TokenClient("gateway-there", "client_secret_basic", "there-s3cret")


@dataclass
class Browser:
    """A browser before a gateway, a company's provider, and a server that lets each person in as who they are."""

    http: httpx2.AsyncClient
    url: str
    parts: Components
    provider: TokenProvider
    server: OAuthServer
    spec: ServerSpec

    async def sign_in(self, name: str, leads_to: str = "/connections") -> httpx2.Response:
        """Sign in to the gateway at the provider."""
        self.provider.signs_in = {"sub": name, "preferred_username": name}
        return await self.http.get(f"{self.url}/auth/openid", params={"next": leads_to}, follow_redirects=True)

    async def begin(self) -> str:
        """Where the page of the server sends the browser to."""
        page = await self.http.get(f"{self.url}/connections/servers/{self.spec.id}")
        token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
        assert token is not None
        answer = await self.http.post(
            f"{self.url}/connections/servers/{self.spec.id}",
            data={"csrf_token": token[1]},
            headers={"Origin": self.url},
        )
        address = re.search(rf'href="({re.escape(self.server.url)}[^"]+)"', answer.text)
        assert address is not None, answer.text
        return unescape(address[1])

    async def agree(self, address: str, name: str) -> httpx2.Response:
        """Sign in there as somebody, and come back."""
        self.server.signs_in = name
        return await self.http.get(address, follow_redirects=True)

    async def call(self, name: str) -> str:
        """As whom the server has seen a call of a person."""
        await call_as(self.parts, self.spec, name, self.provider.url)
        return self.server.callers[-1]


@pytest.fixture
async def browser(settings: Settings, request: pytest.FixtureRequest) -> AsyncIterator[Browser]:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(TokenProvider().running())
        server = await stack.enter_async_context(OAuthServer(provider=provider).running())
        provider.exchanges.clients["gateway"] = RegisteredClient("s3cret")
        provider.exchanges.audiences = {f"{server.url}/as"}
        admin = AdminSettings(
            openid_issuer=provider.url,
            openid_client_id="gateway",
            openid_client_secret="s3cret",
            openid_scopes="openid profile offline_access",
            openid_persons=("*",),
        )
        parts = await stack.enter_async_context(open_components(replace(settings, admin=admin)))
        running = await stack.enter_async_context(running_gateway(parts))
        kind = request.param if request.param is not None else PersonalIdJag(f"{server.url}/as", THERE)
        spec = await add_server(parts, "Docs", f"{server.url}/mcp", kind)
        http = await stack.enter_async_context(httpx2.AsyncClient(timeout=30))
        yield Browser(http, running.url, parts, provider, server, spec)


@pytest.mark.parametrize("browser", [PersonalOAuth()], indirect=True, ids=["oauth"])
async def test_a_person_signs_in_there_and_comes_back_connected(browser: Browser) -> None:
    await browser.sign_in("ada")
    with pytest.raises(ConnectionNeededError):
        await browser.call("ada")
    browser.server.granted_scope = "read"
    done = await browser.agree(await browser.begin(), "ada")
    assert done.url.path == "/connections/done"
    assert "You are connected" in done.text
    assert "Not all was granted that was asked for: <bdi>tools</bdi>" in done.text
    assert await browser.call("ada") == "ada"
    listed = await browser.http.get(f"{browser.url}/connections")
    assert "connected" in listed.text
    assert not any(token in listed.text + done.text for token in browser.server.people)


@pytest.mark.parametrize("browser", [PersonalOAuth()], indirect=True, ids=["oauth"])
async def test_what_one_person_began_in_a_browser_another_does_not_finish(browser: Browser) -> None:
    await browser.sign_in("ada")
    address = await browser.begin()
    await browser.sign_in("ben")
    refused = await browser.agree(address, "ben")
    assert refused.status_code == 400
    assert "Somebody else began this sign-in" in refused.text
    for name in ("ada", "ben"):
        with pytest.raises(ConnectionNeededError):
            await browser.call(name)
    # Nothing is used up: each begins anew as who they are.
    await browser.agree(await browser.begin(), "ben")
    assert await browser.call("ben") == "ben"
    with pytest.raises(ConnectionNeededError):
        await browser.call("ada")


@pytest.mark.parametrize("browser", [None], indirect=True, ids=["id_jag"])
async def test_who_signs_in_to_the_gateway_is_connected_where_the_provider_vouches(browser: Browser) -> None:
    with pytest.raises(ConnectionNeededError, match="you sign in to the gateway anew"):
        await browser.call("ada")
    listed = await browser.sign_in("ada")
    assert "connected" in listed.text
    assert await browser.call("ada") == "ada"
    page = await browser.http.get(f"{browser.url}/connections/servers/{browser.spec.id}")
    assert 'href="/auth/openid?next=/connections/done"' in page.text
    done = await browser.sign_in("ada", "/connections/done")
    assert "You are connected" in done.text
    assert not any(token in listed.text + page.text + done.text for token in browser.provider.refresh_tokens)
