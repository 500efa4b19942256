"""A caller's token in exchange for one of a server, at a provider that checks what it is sent."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import anyio
import jwt
import pytest

from gateway.errors import GrantRefusedError, InvalidInputError, UpstreamUnavailableError
from gateway.upstream.credentials.delegation import PersonalExchange, PersonalIdJag, PersonalOAuth
from gateway.upstream.oauth.authorization_servers import AuthorizationServers
from gateway.upstream.oauth.token_response import missing_scopes
from gateway.upstream.policy import ConnectionPolicy
from tests.doubles.token_provider import TokenProvider
from tests.upstream.oauth.providers import BASIC, WITH_SECRET, endpoint_of, exchanged, register

ON_BEHALF_OF = PersonalExchange(BASIC, scope="api://docs/read", variant="on_behalf_of")


@pytest.fixture
async def provider() -> AsyncIterator[TokenProvider]:
    async with TokenProvider().running() as running:
        register(running, "docs", "https://docs.example/mcp", "api://docs")
        yield running


async def test_the_token_of_a_caller_is_exchanged_for_one_of_the_server(provider: TokenProvider) -> None:
    own = provider.token()
    issued = await exchanged(provider, subject_token=own)
    claims = provider.read(issued.token)
    assert (claims["sub"], claims["aud"], claims["azp"]) == ("ada", "docs", "gateway")
    assert issued.token != own
    assert issued.expires_at is not None
    assert 200 < issued.expires_at - time.time() <= 300
    assert provider.requests == [
        {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": own,
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "audience": "docs",
            "scope": "docs.read docs.write",
        }
    ]


async def test_a_resource_takes_the_place_of_an_audience(provider: TokenProvider) -> None:
    kind = replace(WITH_SECRET, audience="", resource="https://docs.example/mcp", scope="")
    issued = await exchanged(provider, kind)
    assert provider.read(issued.token)["aud"] == "https://docs.example/mcp"
    assert "audience" not in provider.requests[0]


async def test_entra_is_asked_on_behalf_of_the_caller(provider: TokenProvider) -> None:
    own = provider.token(aud="gateway")
    issued = await exchanged(provider, ON_BEHALF_OF, own)
    assert provider.read(issued.token)["aud"] == "api://docs"
    assert provider.requests[0] == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": own,
        "requested_token_use": "on_behalf_of",
        "scope": "api://docs/read",
    }


async def test_a_token_for_somebody_else_is_not_exchanged_on_behalf_of(provider: TokenProvider) -> None:
    with pytest.raises(GrantRefusedError) as refused:
        await exchanged(provider, ON_BEHALF_OF, provider.token(aud="another"))
    assert (refused.value.reason, refused.value.temporary) == ("invalid_grant", False)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("same_token", "gave back the caller's own token"),
        ("other_type", "another kind of token"),
        ("no_json", "something that is no token"),
        ("endless", "the answer is longer"),
        ("down", r"gives no token \(HTTP 503\); try again in a moment"),
    ],
)
async def test_whatever_is_no_token_of_the_server_is_refused(provider: TokenProvider, answer: str, said: str) -> None:
    async with endpoint_of(provider):
        provider.exchanges.answer = answer
    with pytest.raises(UpstreamUnavailableError, match=said):
        await exchanged(provider)


@pytest.mark.parametrize("reason", ["invalid_target", "interaction_required", "access_denied"])
async def test_a_refusal_says_the_code_and_nothing_else_of_what_the_provider_says(
    provider: TokenProvider, reason: str
) -> None:
    provider.exchanges.refusal = reason
    with pytest.raises(GrantRefusedError) as refused:
        await exchanged(provider)
    assert refused.value.reason == reason
    assert "docs.read" not in refused.value.message


async def test_a_token_without_an_end_has_none_and_fewer_scopes_are_told(provider: TokenProvider) -> None:
    provider.exchanges.answer = "no_end"
    assert (await exchanged(provider)).expires_at is None
    provider.exchanges.answer = "fewer_scopes"
    issued = await exchanged(provider)
    assert missing_scopes(WITH_SECRET.scope, issued.scope) == ("docs.write",)
    assert missing_scopes(WITH_SECRET.scope, "") == ()


async def test_what_a_provider_publishes_is_fetched_once_for_many(provider: TokenProvider) -> None:
    servers = AuthorizationServers()
    for _ in range(3):
        async with endpoint_of(provider, servers=servers):
            pass
    assert provider.metadata_fetches == 1


async def test_a_provider_of_another_name_is_not_asked(provider: TokenProvider) -> None:
    provider.more_metadata = {"issuer": "https://login.example"}
    with pytest.raises(UpstreamUnavailableError, match=r"is of https://login\.example, not of"):
        await exchanged(provider)
    assert provider.requests == []


async def test_a_token_endpoint_without_https_elsewhere_gets_no_token(provider: TokenProvider) -> None:
    provider.more_metadata = {"token_endpoint": "http://localhost:1/token"}
    with pytest.raises(UpstreamUnavailableError, match="without https"):
        await exchanged(provider)


async def test_the_guards_hold_for_authorization_servers(provider: TokenProvider) -> None:
    closed = ConnectionPolicy(private_addresses="deny")
    with pytest.raises(UpstreamUnavailableError, match=r"guards\.private_addresses closes"):
        async with AuthorizationServers().open("Docs", provider.url, BASIC, closed):
            pass


async def test_a_token_that_could_never_be_sent_is_refused(provider: TokenProvider) -> None:
    async with endpoint_of(provider) as endpoint:
        for token in ("two lines\nof it", "ü", "", "x" * 20_000):
            provider.token = lambda *_args, _token=token, **_claims: _token  # type: ignore[method-assign]
            form = {"grant_type": "refresh_token", "refresh_token": provider.refresh_token("gateway")}
            with pytest.raises(GrantRefusedError, match=r"cannot be sent|no token"):
                await endpoint.request(form)


async def test_a_token_is_given_back(provider: TokenProvider) -> None:
    async with endpoint_of(provider) as endpoint:
        assert await endpoint.revoke("of-old", "refresh_token")
    assert provider.revoked == [{"token": "of-old", "token_type_hint": "refresh_token"}]
    provider.exchanges.clients.clear()
    with pytest.raises(UpstreamUnavailableError, match="did not revoke the token"):
        async with endpoint_of(provider) as endpoint:
            await endpoint.revoke("of-old", "refresh_token")


async def test_requests_of_several_persons_are_under_way_together(provider: TokenProvider) -> None:
    provider.exchanges.gate = anyio.Event()
    subjects: list[str] = []

    async def ask(name: str) -> None:
        issued = await exchanged(provider, subject_token=provider.token(sub=name))
        subjects.append(jwt.decode(issued.token, options={"verify_signature": False})["sub"])

    async with anyio.create_task_group() as tasks:
        for name in ("ada", "ben"):
            tasks.start_soon(ask, name)
        while provider.under_way < 2:  # noqa: ASYNC110 - the provider counts, and tells nobody
            await anyio.sleep(0.005)
        provider.exchanges.gate.set()
    assert sorted(subjects) == ["ada", "ben"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (replace(WITH_SECRET, audience=""), "needs the audience or the resource"),
        (replace(ON_BEHALF_OF, scope=""), "needs the scope"),
        (replace(ON_BEHALF_OF, audience="docs"), "knows no audience"),
        (replace(WITH_SECRET, client=replace(BASIC, secret="")), "needs the client secret"),
        (replace(WITH_SECRET, client=replace(BASIC, client_id="")), "needs a client id"),
        (PersonalIdJag("auth.example", BASIC), "begins with https://"),
    ],
)
def test_what_no_provider_could_do_is_refused(kind: PersonalExchange | PersonalIdJag, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        kind.check()


def test_secrets_of_clients_are_not_shown() -> None:
    assert "s3cret" not in repr([WITH_SECRET, PersonalIdJag("https://auth.example", BASIC), PersonalOAuth()])
