"""Servers behind OAuth: tokens are got, kept, refreshed, and shared."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import anyio
import httpx2
import pytest

from gateway.errors import InvalidInputError, UpstreamError, UpstreamUnavailableError
from gateway.upstream.credentials.credential import AuthorizationCode, ClientCredentials, Credential
from gateway.upstream.credentials.oauth_grant import OAuthClient, OAuthGrant
from gateway.upstream.oauth.login import begin_login, finish_login
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.spec import ServerSpec
from tests.doubles.oauth_server import OAuthServer
from tests.upstream.conftest import web
from tests.upstream.oauth.grants import MemoryGrantStore

REDIRECT = "http://127.0.0.1:1/callback"


@pytest.fixture
async def oauth() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().running() as server:
        yield server


def spec(oauth: OAuthServer, credential: Credential, kept: MemoryGrantStore, **changes: object) -> ServerSpec:
    return web(f"{oauth.url}/mcp", credential=credential, grants=kept, **changes)


def machine(oauth: OAuthServer) -> ClientCredentials:
    return ClientCredentials("machine", "s3cret/+", f"{oauth.url}/as")


async def signed_in(oauth: OAuthServer, credential: AuthorizationCode, known: OAuthGrant | None = None) -> OAuthGrant:
    """Go the way of a person with a browser."""
    registered = None if known is None else known.client
    login = await begin_login("Web Server", f"{oauth.url}/mcp", credential, REDIRECT, registered)
    async with httpx2.AsyncClient() as browser:
        back = (await browser.get(login.url)).next_request
    assert back is not None
    answer = dict(back.url.params)
    return await finish_login(login, answer["code"], answer["state"], answer["iss"])


async def call(pool: UpstreamPool, server: ServerSpec) -> str:
    result = await pool.request(server, UpstreamRequest("tools/call", {"name": "secret", "arguments": {}}))
    return str(result["content"][0]["text"])


async def test_client_credentials_are_turned_into_a_token_that_many_calls_share(
    oauth: OAuthServer, pool: UpstreamPool
) -> None:
    kept = MemoryGrantStore()
    server = spec(oauth, machine(oauth), kept)
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(call, pool, server)
    assert oauth.calls == 8
    assert [request["grant_type"] for request in oauth.token_requests] == ["client_credentials"]
    assert oauth.token_requests[0]["resource"] == f"{oauth.url}/mcp"
    assert oauth.token_requests[0]["scope"] == "tools"
    assert kept.saves == 1


async def test_a_token_that_is_over_is_replaced_before_it_is_sent(oauth: OAuthServer, pool: UpstreamPool) -> None:
    oauth.expires_in = 1
    kept = MemoryGrantStore()
    server = spec(oauth, machine(oauth), kept)
    await call(pool, server)
    await call(pool, server)
    assert len(set(oauth.authorizations)) > 1


async def test_client_credentials_go_to_no_other_issuer(oauth: OAuthServer, pool: UpstreamPool) -> None:
    credential = ClientCredentials("machine", "s3cret/+", "https://elsewhere.example")
    with pytest.raises(UpstreamUnavailableError, match="the credentials are for https://elsewhere"):
        await call(pool, spec(oauth, credential, MemoryGrantStore()))
    assert oauth.token_requests == []


async def test_a_server_that_nobody_signed_in_to_says_so(oauth: OAuthServer, pool: UpstreamPool) -> None:
    with pytest.raises(UpstreamError, match="wants somebody to sign in; do so with modelgate servers login"):
        await call(pool, spec(oauth, AuthorizationCode(), MemoryGrantStore()))


async def test_after_signing_in_calls_go_through_and_the_client_is_registered(
    oauth: OAuthServer, pool: UpstreamPool
) -> None:
    grant = await signed_in(oauth, AuthorizationCode())
    assert await call(pool, spec(oauth, AuthorizationCode(), MemoryGrantStore(grant))) == "for your eyes only"
    assert oauth.registrations[0]["redirect_uris"] == [REDIRECT]
    assert grant.client.client_id == "client-1"


async def test_a_second_sign_in_uses_the_registration_of_the_first(oauth: OAuthServer) -> None:
    first = await signed_in(oauth, AuthorizationCode())
    second = await signed_in(oauth, AuthorizationCode(), first)
    assert second.client.client_id == first.client.client_id
    assert len(oauth.registrations) == 1


async def test_a_client_metadata_document_goes_before_registration(oauth: OAuthServer) -> None:
    oauth.supports_metadata_documents = True
    document = "https://gate.example/oauth/client.json"
    grant = await signed_in(oauth, AuthorizationCode(metadata_url=document))
    assert grant.client.client_id == document
    assert oauth.registrations == []


async def test_a_client_id_given_by_hand_goes_before_both(oauth: OAuthServer) -> None:
    grant = await signed_in(oauth, AuthorizationCode(client_id="mine"))
    assert grant.client.client_id == "mine"
    assert oauth.registrations == []


async def test_without_registration_the_gateway_says_what_to_do(oauth: OAuthServer) -> None:
    oauth.supports_registration = False
    with pytest.raises(UpstreamUnavailableError, match=f"register one there for the redirect URI {REDIRECT}"):
        await signed_in(oauth, AuthorizationCode())


async def test_a_refused_token_is_refreshed_once_for_all_sessions(oauth: OAuthServer, pool: UpstreamPool) -> None:
    kept = MemoryGrantStore(await signed_in(oauth, AuthorizationCode()))
    servers = [spec(oauth, AuthorizationCode(), kept, id=number) for number in (1, 2)]
    for server in servers:
        await call(pool, server)
    oauth.access_tokens.clear()
    async with anyio.create_task_group() as tasks:
        for server in servers * 3:
            tasks.start_soon(call, pool, server)
    refreshed = [request for request in oauth.token_requests if request["grant_type"] == "refresh_token"]
    assert len(refreshed) == 1
    assert oauth.calls == 8


async def test_a_restart_goes_on_with_the_refresh_token_at_the_right_address(
    oauth: OAuthServer, pool: UpstreamPool
) -> None:
    grant = await signed_in(oauth, AuthorizationCode())
    oauth.access_tokens.clear()
    kept = MemoryGrantStore(OAuthGrant.from_dict(replace(grant, expires_at=0.0).to_dict()))
    assert await call(pool, spec(oauth, AuthorizationCode(), kept)) == "for your eyes only"
    assert kept.grant is not None
    assert kept.grant.refresh_token != grant.refresh_token


async def test_a_refresh_token_that_is_no_longer_taken_asks_for_a_person(
    oauth: OAuthServer, pool: UpstreamPool
) -> None:
    kept = MemoryGrantStore(await signed_in(oauth, AuthorizationCode()))
    oauth.access_tokens.clear()
    oauth.refresh_tokens.clear()
    with pytest.raises(UpstreamError, match="wants somebody to sign in"):
        await call(pool, spec(oauth, AuthorizationCode(), kept))


async def test_an_answer_to_another_sign_in_is_refused(oauth: OAuthServer) -> None:
    login = await begin_login("Web Server", f"{oauth.url}/mcp", AuthorizationCode(), REDIRECT, None)
    with pytest.raises(InvalidInputError, match="another sign-in"):
        await finish_login(login, "code", "not-the-state", f"{oauth.url}/as")
    with pytest.raises(InvalidInputError, match="another authorization server"):
        await finish_login(login, "code", login.state, "https://evil.example")
    with pytest.raises(InvalidInputError, match="another authorization server"):
        await finish_login(login, "code", login.state)
    assert oauth.token_requests == []


def test_secrets_are_not_shown() -> None:
    client = OAuthClient("https://as.example", "https://as.example/token", "id", client_secret="hidden")
    shown = repr([OAuthGrant(client, "hidden", "hidden"), ClientCredentials("id", "hidden", "https://as.example")])
    assert "hidden" not in shown
