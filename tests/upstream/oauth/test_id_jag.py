"""A company's provider vouches for a person, and the server's authorization server takes its word."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from gateway.errors import GrantRefusedError
from gateway.upstream.credentials.delegation import PersonalIdJag, SubjectKind
from gateway.upstream.credentials.token_client import TokenClient
from gateway.upstream.oauth.authorization_servers import AuthorizationServers
from gateway.upstream.oauth.id_jag import redeem_id_jag, request_id_jag
from gateway.upstream.oauth.token_response import IssuedToken
from gateway.upstream.policy import DEFAULT_POLICY
from tests.doubles.oauth_server import OAuthServer
from tests.doubles.token_provider import RegisteredClient, TokenProvider
from tests.upstream.oauth.providers import endpoint_of, register

THERE = TokenClient("gateway-there", "client_secret_basic", "there-s3cret")


@dataclass
class Company:
    """A provider, and a server whose authorization server believes it."""

    provider: TokenProvider
    server: OAuthServer

    @property
    def kind(self) -> PersonalIdJag:
        return PersonalIdJag(f"{self.server.url}/as", THERE, f"{self.server.url}/mcp", "tools")

    async def id_jag(self, token: str, subject: SubjectKind = "id_token") -> str:
        async with endpoint_of(self.provider) as provider:
            return await request_id_jag("Docs", provider, self.kind, token, subject)

    async def redeemed(self, id_jag: str) -> IssuedToken:
        async with AuthorizationServers().open("Docs", self.kind.issuer, THERE, DEFAULT_POLICY) as endpoint:
            return await redeem_id_jag(endpoint, self.kind, id_jag)


@pytest.fixture
async def company() -> AsyncIterator[Company]:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(TokenProvider().running())
        server = await stack.enter_async_context(OAuthServer(provider=provider).running())
        register(provider, f"{server.url}/as")
        yield Company(provider, server)


async def test_an_id_token_leads_to_a_token_of_the_server(company: Company) -> None:
    id_jag = await company.id_jag(company.provider.id_token("gateway"))
    issued = await company.redeemed(id_jag)
    assert company.server.people[issued.token] == "ada"
    asked = company.provider.requests[0]
    assert asked["requested_token_type"] == "urn:ietf:params:oauth:token-type:id-jag"
    assert asked["audience"] == f"{company.server.url}/as"
    assert asked["resource"] == f"{company.server.url}/mcp"
    assert asked["scope"] == "tools"


async def test_a_refresh_token_does_so_too_and_stays_good(company: Company) -> None:
    token = company.provider.refresh_token("gateway", "ben")
    for _ in range(2):
        issued = await company.redeemed(await company.id_jag(token, "refresh_token"))
        assert company.server.people[issued.token] == "ben"


async def test_an_id_jag_is_good_once(company: Company) -> None:
    id_jag = await company.id_jag(company.provider.id_token("gateway"))
    await company.redeemed(id_jag)
    with pytest.raises(GrantRefusedError, match="invalid_grant"):
        await company.redeemed(id_jag)


async def test_the_sign_in_of_another_client_is_not_vouched_for(company: Company) -> None:
    with pytest.raises(GrantRefusedError) as refused:
        await company.id_jag(company.provider.id_token("another"))
    assert refused.value.reason == "invalid_grant"


async def test_a_sign_in_that_is_over_is_not_vouched_for(company: Company) -> None:
    with pytest.raises(GrantRefusedError, match="invalid_grant"):
        await company.id_jag(company.provider.id_token("gateway", exp=1))


async def test_a_server_that_the_company_does_not_allow_is_told_by_the_code(company: Company) -> None:
    company.provider.exchanges.audiences.clear()
    with pytest.raises(GrantRefusedError) as refused:
        await company.id_jag(company.provider.id_token("gateway"))
    assert refused.value.reason == "invalid_target"


async def test_a_provider_that_gives_something_else_than_an_id_jag_is_not_believed(company: Company) -> None:
    company.provider.exchanges.answer = "other_type"
    with pytest.raises(GrantRefusedError, match="gave no ID-JAG"):
        await company.id_jag(company.provider.id_token("gateway"))


async def test_another_client_at_the_server_does_not_get_the_token(company: Company) -> None:
    id_jag = await company.id_jag(company.provider.id_token("gateway"))
    company.server.vouched_client = ("somebody-else", "s")
    with pytest.raises(GrantRefusedError):
        await company.redeemed(id_jag)
    company.provider.exchanges.clients["gateway"] = RegisteredClient("changed")
    with pytest.raises(GrantRefusedError, match="invalid_client"):
        await company.id_jag(company.provider.id_token("gateway"))
