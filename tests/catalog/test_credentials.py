"""Credentials of servers: sealed, used, shown to nobody; signing in through the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.errors import InvalidInputError
from gateway.upstream.credentials.credential import (
    AuthorizationCode,
    Basic,
    Bearer,
    ClientCertificate,
    ClientCredentials,
    Credential,
)
from tests.doubles.http_api import HttpApi
from tests.doubles.oauth_server import OAuthServer
from tests.support.gateway import RunningGateway
from tests.upstream.conftest import serving

SECRET = "s3cret-that-nobody-may-see"


@pytest.fixture
async def oauth() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().running() as server:
        yield server


async def add(gateway: RunningGateway, new: ServerDefinition) -> tuple[int, int]:
    tenant = await tenant_by_slug(gateway.parts.database)
    return tenant.id, await gateway.parts.servers.add(tenant.id, new)


@pytest.mark.parametrize(
    "credential",
    [
        Bearer(SECRET),
        Basic("somebody", SECRET),
        ClientCredentials("id", SECRET, "https://as.example", "a b"),
        AuthorizationCode("id", SECRET, issuer="https://as.example"),
    ],
    ids=lambda credential: type(credential).__name__,
)
async def test_a_credential_is_sealed_and_comes_back_as_it_was(gateway: RunningGateway, credential: Credential) -> None:
    new = ServerDefinition("Locked", "http", url="https://locked.example/mcp", credential=credential)
    tenant_id, server_id = await add(gateway, new)
    servers = gateway.parts.servers
    assert (await servers.spec(tenant_id, server_id)).credential == credential
    row = await gateway.parts.database.fetchrow("server_by_id", tenant_id, server_id)
    assert row is not None
    assert SECRET.encode() not in row["sealed_secrets"]
    assert SECRET not in repr(dict(row)) + repr(await servers.list(tenant_id))
    assert SECRET not in repr(await servers.spec(tenant_id, server_id))


async def test_a_change_of_a_server_keeps_its_credential(gateway: RunningGateway) -> None:
    new = ServerDefinition("Locked", "http", url="https://locked.example/mcp", credential=Bearer(SECRET))
    tenant_id, server_id = await add(gateway, new)
    servers = gateway.parts.servers
    await servers.update(tenant_id, server_id, ServerDefinition("Moved", "http", url="https://locked.example/v2"))
    spec = await servers.spec(tenant_id, server_id)
    assert (spec.name, spec.url, spec.credential) == ("Moved", "https://locked.example/v2", Bearer(SECRET))
    await servers.set_credential(tenant_id, server_id, None, None)
    assert (await servers.spec(tenant_id, server_id)).credential is None
    assert (await servers.get_by_name(tenant_id, "Moved")).credential == "none"


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (ServerDefinition("A", "stdio", command="cat", credential=Bearer("t")), "environment only"),
        (ServerDefinition("A", "http", url="https://a.example", credential=Bearer("a b")), "bearer token"),
        (ServerDefinition("A", "http", url="https://a.example", credential=Basic("a:b", "c")), "colon"),
        (
            ServerDefinition("A", "http", url="https://a.example", credential=ClientCredentials("", "", "x")),
            "one is missing",
        ),
        (ServerDefinition("A", "http", url="https://a.example", certificate=ClientCertificate("x", "y")), "in PEM"),
        (ServerDefinition("A", "openapi"), "needs a document"),
        (ServerDefinition("A", "openapi", document="{}"), "not an OpenAPI document"),
        (ServerDefinition("A", "openapi", document_url="ftp://a.example"), "has to begin with http"),
    ],
)
async def test_what_could_never_work_is_refused(gateway: RunningGateway, new: ServerDefinition, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        await add(gateway, new)


async def test_somebody_signs_in_through_the_gateway_and_its_clients_call_the_tool(
    gateway: RunningGateway, oauth: OAuthServer
) -> None:
    tenant_id, server_id = await add(
        gateway, ServerDefinition("Vault", "http", url=f"{oauth.url}/mcp", credential=AuthorizationCode())
    )
    parts = gateway.parts
    url = await parts.logins.begin(tenant_id, server_id, f"{gateway.url}/oauth/callback", "mine")
    cookies = {"modelgate_login": "mine"}
    async with httpx2.AsyncClient(follow_redirects=True, cookies=cookies) as browser:
        page = await browser.get(url)
    assert (page.status_code, "Signed in to Vault." in page.text) == (200, True)
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    await parts.sync.run(tenant_id, server_id)

    result = await gateway.call("vault__secret")
    assert result["content"][0]["text"] == "for your eyes only"
    # The caller's own key stays here.
    assert result["x-seen"].keys() == {"authorization"}
    assert gateway.key not in result["x-seen"]["authorization"]
    row = await parts.database.fetchrow("sealed_grant", tenant_id, server_id)
    assert row is not None
    assert not any(token.encode() in row["sealed_grant"] for token in oauth.access_tokens)


async def test_a_callback_is_good_once_and_for_nobody_else(gateway: RunningGateway, oauth: OAuthServer) -> None:
    tenant_id, server_id = await add(
        gateway, ServerDefinition("Vault", "http", url=f"{oauth.url}/mcp", credential=AuthorizationCode())
    )
    url = await gateway.parts.logins.begin(tenant_id, server_id, f"{gateway.url}/oauth/callback", "mine")
    state = parse_qs(urlsplit(url).query)["state"][0]
    mine = {"Cookie": "modelgate_login=mine"}
    for query in ({"state": "made-up", "code": "x"}, {"state": state, "error": "access_denied"}):
        assert (await gateway.http.get("/oauth/callback", params=query, headers=mine)).status_code == 400
    late = await gateway.http.get("/oauth/callback", params={"state": state, "code": "x"}, headers=mine)
    assert (late.status_code, "Nobody waits" in late.text) == (400, True)


@pytest.mark.parametrize("cookie", [None, "modelgate_login=", "modelgate_login=another", "modelgate_login=\xe4"])
async def test_nobody_finishes_or_ends_a_sign_in_that_was_begun_in_another_browser(
    gateway: RunningGateway, oauth: OAuthServer, cookie: str | None
) -> None:
    tenant_id, server_id = await add(
        gateway, ServerDefinition("Vault", "http", url=f"{oauth.url}/mcp", credential=AuthorizationCode())
    )
    url = await gateway.parts.logins.begin(tenant_id, server_id, f"{gateway.url}/oauth/callback", "mine")
    async with httpx2.AsyncClient() as browser:
        back = (await browser.get(url)).headers["location"]
    state = parse_qs(urlsplit(url).query)["state"][0]
    theirs = {} if cookie is None else {b"Cookie": cookie.encode("latin-1")}
    refused = await gateway.http.get(back, headers=theirs)
    assert (refused.status_code, "begun in another browser" in refused.text) == (400, True)
    await gateway.http.get("/oauth/callback", params={"state": state, "error": "access_denied"}, headers=theirs)
    assert oauth.token_requests == []
    signed_in = await gateway.http.get(back, headers={"Cookie": "modelgate_login=mine"})
    assert "Signed in to Vault." in signed_in.text


async def test_the_client_metadata_document_names_itself(gateway: RunningGateway) -> None:
    document = (await gateway.http.get("/oauth/client.json")).json()
    assert document["client_id"] == f"{gateway.url}/oauth/client.json"
    assert document["redirect_uris"] == [f"{gateway.url}/oauth/callback"]


async def test_the_operations_of_an_api_are_found_and_called(gateway: RunningGateway) -> None:
    api = HttpApi()
    async with serving(api.app()) as base:
        new = ServerDefinition("Pets", "openapi", document_url=f"{base}/openapi.json", credential=Bearer(SECRET))
        await gateway.parts.sync.run(*await add(gateway, new))
        found = await gateway.call("tool_search", {"query": "look up a pet by its id"})
        assert "pets__getPet" in found["content"][0]["text"]
        result = await gateway.call("pets__getPet", {"id": "7"})
    assert result["structuredContent"]["path"] == "/api/pets/7"
    assert api.requests[-1]["headers"]["authorization"] == f"Bearer {SECRET}"
    assert "x-api-key" not in api.requests[-1]["headers"]
