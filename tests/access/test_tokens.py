"""Access tokens of an OpenID provider at /mcp, against a provider that is asked over a socket."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization

from gateway.access.issuer import TokenIssuer
from gateway.access.roles import create_role
from gateway.access.tenants import create_tenant, suspend_tenant, tenant_by_slug
from gateway.access.tokens import AccessTokens
from gateway.components import open_components
from gateway.database.pool import Database
from gateway.errors import CredentialError, RoleMissingError, SettingsError, SignInUnavailableError
from gateway.settings import OauthSettings, Settings
from tests.doubles.openid_provider import OpenIdProvider
from tests.support.gateway import RunningGateway, running_gateway

AUDIENCE = "http://gateway/mcp"
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.fixture
async def provider() -> AsyncIterator[OpenIdProvider]:
    async with OpenIdProvider().running() as running:
        yield running


@pytest.fixture
def oauth(provider: OpenIdProvider) -> OauthSettings:
    return OauthSettings(
        issuer=provider.url, audience=(AUDIENCE,), role_map=("platform = dev", "platform=ops", "a=b=all")
    )


@pytest.fixture
async def signed_in(settings: Settings, oauth: OauthSettings) -> AsyncIterator[RunningGateway]:
    async with (
        open_components(replace(settings, oauth=oauth)) as parts,
        running_gateway(parts) as running,
    ):
        for role in ("dev", "ops"):
            await create_role(parts.database, 1, role)
        await parts.profiles.create(1, "few")
        yield running


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


async def post(gateway: RunningGateway, token: str, path: str = "/mcp") -> httpx2.Response:
    return await gateway.http.post(path, json=PING, headers={"Authorization": f"Bearer {token}"})


def unsigned(provider: OpenIdProvider, header: dict[str, Any], **claims: Any) -> str:
    parts = [json.dumps(header), json.dumps(provider.claims(groups=["platform"], **claims))]
    return ".".join(_encoded(part.encode()) for part in parts) + "."


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


async def test_a_token_of_the_provider_lets_in_with_the_roles_of_its_groups(
    signed_in: RunningGateway, provider: OpenIdProvider
) -> None:
    assert (await post(signed_in, provider.token(groups=["platform"]))).json()["result"] == {}
    caller = await signed_in.parts.caller_authenticator.authenticate(
        provider.token(groups=["platform", "a=b"], email="ada@example.com")
    )
    names = {"dev", "ops", "all"}
    rows = await signed_in.parts.database.fetch("list_roles", 1)
    assert set(caller.role_ids) == {row["id"] for row in rows if row["name"] in names}
    assert (caller.key_id, caller.key_name, caller.identity) == (
        0,
        "ada@example.com",
        f"issuer-{len(provider.url)}-{provider.url}:ada",
    )
    # An API key still does.
    assert (await signed_in.post(PING)).status_code == 200
    assert provider.key_fetches == 1


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "http://another/mcp"}, "another service"),
        ({"aud": None}, "aud"),
        ({"aud": f"{AUDIENCE}/p/few"}, "another service"),
        ({"iss": "https://evil.example"}, "not trusted"),
        ({"exp": -120}, "expired"),
        ({"exp": None}, "exp"),
        ({"nbf": 600}, "not valid yet"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub is empty"),
        ({"sub": " \t"}, "sub is empty"),
        ({"sub": "\u200b\x00"}, "sub is empty"),
    ],
)
async def test_a_token_that_is_not_for_here_and_now_is_refused(
    signed_in: RunningGateway, provider: OpenIdProvider, claims: dict[str, Any], reason: str
) -> None:
    # Times are seconds from now.
    told: dict[str, Any] = {
        name: int(time.time()) + value if isinstance(value, int) else value for name, value in claims.items()
    }
    refused = await post(signed_in, provider.token("first", headers=None, groups=["platform"], **told))
    assert refused.status_code == 401
    assert reason in refused.json()["error"]["message"]
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]


async def test_clocks_may_differ_by_a_minute(signed_in: RunningGateway, provider: OpenIdProvider) -> None:
    now = int(time.time())
    late = provider.token(groups=["platform"], exp=now - 30)
    early = provider.token(groups=["platform"], nbf=now + 30, iat=now + 30)
    assert [(await post(signed_in, token)).status_code for token in (late, early)] == [200, 200]


async def test_tokens_that_anybody_could_make_are_refused(signed_in: RunningGateway, provider: OpenIdProvider) -> None:
    public = provider.public_key_of("first").public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    shared = unsigned(provider, {"alg": "HS256", "kid": "first"}).rstrip(".")
    stranger = OpenIdProvider()
    stranger.url = provider.url
    signed = provider.token(groups=["platform"])
    head, _, signature = signed.split(".")
    forged = [
        unsigned(provider, {"alg": "none", "kid": "first"}),
        unsigned(provider, {"alg": "None", "kid": "first"}),
        # The public key taken for a shared secret.
        f"{shared}.{_encoded(hmac.digest(public, shared.encode(), 'sha256'))}",
        stranger.token(groups=["platform"]),
        # Other claims under a signature that was good.
        f"{head}.{unsigned(provider, {}, sub='root').split('.')[1]}.{signature}",
        f"{head}..{signature}",
        "a.b.c",
        "..",
        signed + "A" * 20_000,
    ]
    for token in forged:
        assert (await post(signed_in, token)).status_code == 401, token[:80]


async def test_a_new_key_of_the_provider_is_taken_up_and_a_withdrawn_one_given_up(
    provider: OpenIdProvider, database: Database, oauth: OauthSettings
) -> None:
    clock = Clock()
    tokens = AccessTokens(
        database,
        None,
        replace(oauth, role_map=()),
        TokenIssuer(provider.url, max_age=300, refetch_seconds=0.0, clock=clock),
    )
    old = provider.token(groups=["all"])
    await tokens.authenticate(old)
    provider.add_key("second", "ES256")
    await tokens.authenticate(provider.token("second", groups=["all"]))
    assert provider.key_fetches == 2
    provider.remove_key("first")
    await tokens.authenticate(old)
    clock.seconds += 301
    with pytest.raises(CredentialError, match="does not have"):
        await tokens.authenticate(old)


async def test_made_up_keys_neither_make_the_gateway_ask_without_end_nor_keep_a_new_key_out(
    provider: OpenIdProvider, database: Database, oauth: OauthSettings
) -> None:
    tokens = AccessTokens(
        database, None, replace(oauth, role_map=()), TokenIssuer(provider.url, clock=Clock(), refetch_seconds=0.05)
    )
    await tokens.authenticate(provider.token(groups=["all"]))
    made_up = [provider.token(headers={"kid": f"made up {number}"}) for number in range(40)]

    async def refused(token: str) -> None:
        with pytest.raises(CredentialError, match="does not have"):
            await tokens.authenticate(token)

    await asyncio.gather(*(refused(token) for token in made_up[:20]))
    provider.add_key("second", "ES256")
    caller, *_ = await asyncio.gather(
        tokens.authenticate(provider.token("second", groups=["all"])), *(refused(token) for token in made_up[20:])
    )
    assert caller is not None
    assert caller.subject == "ada"
    assert provider.key_fetches <= 5


async def test_while_the_provider_is_away_its_known_keys_are_trusted_for_an_hour(
    provider: OpenIdProvider, database: Database, oauth: OauthSettings
) -> None:
    clock = Clock()
    tokens = AccessTokens(
        database,
        None,
        replace(oauth, role_map=()),
        TokenIssuer(provider.url, max_age=300, refetch_seconds=0.0, clock=clock),
    )
    token = provider.token(groups=["all"])
    provider.is_down = True
    with pytest.raises(SignInUnavailableError):
        await tokens.authenticate(token)
    provider.is_down = False
    clock.seconds += 10
    await tokens.authenticate(token)
    provider.is_down = True
    clock.seconds += 1000
    await tokens.authenticate(token)
    clock.seconds += 3601
    with pytest.raises(SignInUnavailableError):
        await tokens.authenticate(token)


async def test_a_provider_that_is_away_is_said_with_503(signed_in: RunningGateway, provider: OpenIdProvider) -> None:
    provider.is_down = True
    answer = await post(signed_in, provider.token(groups=["platform"]))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert (await signed_in.post(PING)).status_code == 200


async def test_without_a_role_a_sign_in_opens_nothing(signed_in: RunningGateway, provider: OpenIdProvider) -> None:
    for groups in (["strangers"], [], "", None, 5, ["all"]):
        refused = await post(signed_in, provider.token(groups=groups))
        assert refused.status_code == 403
        assert "no role" in refused.json()["error"]["message"]
        assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]


async def test_a_suspended_tenants_people_are_shut_out(signed_in: RunningGateway, provider: OpenIdProvider) -> None:
    tenant = await tenant_by_slug(signed_in.parts.database)
    await suspend_tenant(signed_in.parts.database, tenant.id, suspended=True)
    refused = await post(signed_in, provider.token(groups=["platform"]))
    assert "suspended" in refused.json()["error"]["message"]


async def test_roles_may_come_from_a_claim_inside_another_and_of_another_tenant(
    provider: OpenIdProvider, database: Database
) -> None:
    tenant = await create_tenant(database, "acme")
    role = await create_role(database, tenant.id, "dev")
    everyone = await create_role(database, tenant.id, "everyone")
    settings = OauthSettings(
        issuer=provider.url,
        audience=(AUDIENCE,),
        tenant="acme",
        roles_claim="realm_access.roles",
        default_roles=("everyone",),
    )
    tokens = AccessTokens(database, None, settings, TokenIssuer(provider.url))
    caller = await tokens.authenticate(provider.token(realm_access={"roles": ["dev", "all"]}))
    assert (caller.tenant_id, caller.role_ids) == (tenant.id, (role.id, everyone.id))
    with pytest.raises(RoleMissingError):
        await AccessTokens(database, None, replace(settings, default_roles=()), TokenIssuer(provider.url)).authenticate(
            provider.token()
        )


async def test_a_client_is_told_where_to_sign_in(signed_in: RunningGateway, provider: OpenIdProvider) -> None:
    for path in ("/mcp", "/mcp/p/few"):
        refused = await signed_in.http.post(path, json=PING)
        assert refused.status_code == 401
        (where,) = [
            part.split('"')[1]
            for part in refused.headers["WWW-Authenticate"].split(", ")
            if part.startswith("resource_metadata=")
        ]
        assert where == f"{signed_in.url}/.well-known/oauth-protected-resource{path}"
        told = (await signed_in.http.get(where)).json()
        assert (told["resource"], told["authorization_servers"]) == (f"{signed_in.url}{path}", [provider.url])
    general = (await signed_in.http.get("/.well-known/oauth-protected-resource")).json()
    assert general["resource"] == signed_in.mcp
    assert (await signed_in.http.get("/.well-known/oauth-protected-resource/admin")).status_code == 404
    foreign = await signed_in.http.get("/.well-known/oauth-protected-resource", headers={"Host": "evil.example"})
    assert foreign.status_code == 421


async def test_a_token_made_for_a_profile_opens_that_profile_alone(
    signed_in: RunningGateway, provider: OpenIdProvider
) -> None:
    token = provider.token(groups=["platform"], aud=f"{AUDIENCE}/p/few")
    assert (await post(signed_in, token, "/mcp/p/few")).status_code == 200
    assert (await post(signed_in, token)).status_code == 401


async def test_without_a_provider_there_is_nothing_to_sign_in_to(gateway: RunningGateway) -> None:
    assert (await gateway.http.get("/.well-known/oauth-protected-resource/mcp")).status_code == 404
    refused = await gateway.http.post("/mcp", json=PING)
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="modelgate"'


@pytest.mark.parametrize(
    "changed",
    [
        {"audience": ()},
        {"issuer": "http://login.example.com"},
        {"issuer": "ftp://login.example.com"},
        {"role_map": ("platform",)},
        {"jwks_url": "http://login.example.com/keys"},
    ],
)
async def test_settings_that_would_let_strangers_in_stop_the_start(database: Database, changed: dict[str, Any]) -> None:
    settings = replace(OauthSettings(issuer="https://login.example.com", audience=(AUDIENCE,)), **changed)
    with pytest.raises(SettingsError):
        AccessTokens(database, None, settings, TokenIssuer(settings.issuer))
