"""Signing in at an OpenID provider."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.admin.accounts.account import Accounts
from gateway.admin.accounts.openid import local_path
from gateway.admin.accounts.password import PasswordHasher
from gateway.components import open_components
from gateway.errors import OpenIdError, SettingsError
from gateway.settings import Settings
from tests.admin.accounts.provider import CLIENT_ID, Provider, running_provider
from tests.support.gateway import RunningGateway, running_gateway

ROLES = ("ops=admin", "audit=viewer@default")


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running_provider() as running:
        yield running


@pytest.fixture
async def federated(settings: Settings, provider: Provider) -> AsyncIterator[RunningGateway]:
    """A gateway at which people of the provider sign in."""
    admin = replace(settings.admin, openid_issuer=provider.url, openid_client_id=CLIENT_ID, openid_roles=ROLES)
    async with open_components(replace(settings, admin=admin)) as parts, running_gateway(parts) as running:
        yield running


async def _sign_in(gateway: RunningGateway, path: str = "/tools") -> httpx2.Response:
    """What the gateway answers when the browser comes back from the provider."""
    begun = await gateway.http.get("/auth/openid", params={"next": path})
    assert begun.status_code == 303
    async with httpx2.AsyncClient() as browser:
        sent_back = await browser.get(begun.headers["location"])
    return await gateway.http.get(sent_back.headers["location"])


def _base64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _failed(response: httpx2.Response) -> str:
    parts = urlsplit(response.headers["location"])
    assert parts.path == "/signin"
    return parse_qs(parts.query)["failed"][0]


async def test_somebody_of_the_provider_is_signed_in_with_the_role_of_their_group(federated: RunningGateway) -> None:
    back = await _sign_in(federated)
    assert (back.status_code, back.headers["location"]) == (303, "/tools")
    assert any("SameSite=lax" in each and "HttpOnly" in each for each in back.headers.get_list("set-cookie"))
    session = (await federated.http.get("/api/v1/session")).json()
    assert (session["name"], session["role"], session["every_tenant"]) == ("ida", "admin", True)
    assert not session["has_password"]


async def test_the_role_follows_the_groups_at_every_sign_in(federated: RunningGateway, provider: Provider) -> None:
    await _sign_in(federated)
    provider.claims["groups"] = ["audit"]
    await _sign_in(federated)
    session = (await federated.http.get("/api/v1/session")).json()
    assert (session["role"], session["tenants"]) == ("viewer", ["default"])
    assert len(await Accounts(federated.parts.database, PasswordHasher()).list()) == 1


async def test_who_has_no_group_here_is_refused_and_their_sessions_end(
    federated: RunningGateway, provider: Provider
) -> None:
    await _sign_in(federated)
    provider.claims["groups"] = ["others"]
    assert _failed(await _sign_in(federated)) == "not-allowed"
    assert (await federated.http.get("/api/v1/session")).status_code == 401


async def test_groups_may_be_told_at_the_userinfo_endpoint(federated: RunningGateway, provider: Provider) -> None:
    provider.claims = {"sub": "u2"}
    provider.user_info = {"sub": "u2", "groups": ["ops"], "preferred_username": "uma"}
    assert (await _sign_in(federated)).headers["location"] == "/tools"
    provider.user_info["sub"] = "somebody else"
    assert _failed(await _sign_in(federated)) == "not-allowed"


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "other"},
        {"aud": [CLIENT_ID, "x"]},
        {"aud": [CLIENT_ID, "x"], "azp": "x"},
        {"iss": "https://evil.example"},
        {"nonce": "other"},
        {"nonce": None},
        {"sub": ""},
        {"sub": " "},
        {"exp": 1},
        {"exp": float("nan")},
        {"exp": "tomorrow"},
        {"iat": 32_503_680_000},
        {"nbf": 32_503_680_000},
        {"at_hash": "of-another-access-token"},
    ],
)
async def test_a_token_that_was_not_made_for_this_sign_in_is_refused(
    federated: RunningGateway, provider: Provider, change: dict[str, object]
) -> None:
    provider.change = change
    assert _failed(await _sign_in(federated)) == "invalid"


async def test_clocks_may_differ_by_less_than_a_minute(federated: RunningGateway, provider: Provider) -> None:
    now = int(time.time())
    provider.change = {"iat": now + 30, "exp": now - 30}
    assert (await _sign_in(federated)).headers["location"] == "/tools"


async def test_a_token_for_several_that_names_this_client_as_its_party_is_taken(
    federated: RunningGateway, provider: Provider
) -> None:
    provider.change = {"aud": [CLIENT_ID, "x"], "azp": CLIENT_ID}
    assert (await _sign_in(federated)).headers["location"] == "/tools"


async def test_a_token_that_anybody_could_have_signed_is_refused(federated: RunningGateway, provider: Provider) -> None:
    public = provider.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def with_the_public_key(claims: dict[str, object]) -> str:
        head, body = (_base64(part) for part in ({"alg": "HS256", "kid": "k1"}, claims))
        mac = hmac.new(public, f"{head}.{body}".encode(), "sha256").digest()
        return f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    for sign in (with_the_public_key, lambda claims: f"{_base64({'alg': 'none', 'kid': 'k1'})}.{_base64(claims)}."):
        provider.sign = sign
        assert _failed(await _sign_in(federated)) == "invalid"


async def test_an_answer_of_another_provider_is_refused(federated: RunningGateway, provider: Provider) -> None:
    provider.answer = {"iss": provider.url}
    assert (await _sign_in(federated)).headers["location"] == "/tools"
    provider.answer = {"iss": "https://evil.example"}
    assert _failed(await _sign_in(federated)) == "invalid"
    assert len(provider.token_requests) == 1


async def test_a_sign_in_that_the_provider_refuses_is_told(federated: RunningGateway, provider: Provider) -> None:
    provider.answer = {"error": "access_denied"}
    assert _failed(await _sign_in(federated)) == "refused"
    # A code that was made for another verifier, as one that was stolen is.
    provider.answer = {"code": "stolen"}
    assert _failed(await _sign_in(federated)) == "refused"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_the_client_shows_its_secret_as_the_provider_wants_it(
    settings: Settings, provider: Provider, method: str
) -> None:
    admin = replace(
        settings.admin,
        openid_issuer=provider.url,
        openid_client_id=CLIENT_ID,
        openid_client_secret="hush",
        openid_roles=ROLES,
    )
    provider.metadata = {"token_endpoint_auth_methods_supported": [method]}
    async with open_components(replace(settings, admin=admin)) as parts, running_gateway(parts) as gateway:
        assert (await _sign_in(gateway)).headers["location"] == "/tools"
    [(authorization, form)] = provider.token_requests
    if method == "client_secret_basic":
        assert authorization == f"Basic {base64.b64encode(f'{CLIENT_ID}:hush'.encode()).decode()}"
        assert "client_secret" not in form
    else:
        assert authorization is None
        assert (form["client_id"], form["client_secret"]) == (CLIENT_ID, "hush")


async def test_a_client_without_a_secret_names_itself(federated: RunningGateway, provider: Provider) -> None:
    await _sign_in(federated)
    [(authorization, form)] = provider.token_requests
    assert (authorization, form["client_id"], form["grant_type"]) == (None, CLIENT_ID, "authorization_code")


async def test_a_token_signed_with_another_key_is_refused(federated: RunningGateway, provider: Provider) -> None:
    provider.signs_with = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert _failed(await _sign_in(federated)) == "invalid"


async def test_an_answer_that_another_browser_asked_for_is_refused(federated: RunningGateway) -> None:
    begun = await federated.http.get("/auth/openid")
    async with httpx2.AsyncClient() as browser:
        sent_back = await browser.get(begun.headers["location"])
    federated.http.cookies.clear()
    assert _failed(await federated.http.get(sent_back.headers["location"])) == "expired"


async def test_an_answer_counts_once(federated: RunningGateway) -> None:
    begun = await federated.http.get("/auth/openid")
    async with httpx2.AsyncClient() as browser:
        sent_back = await browser.get(begun.headers["location"])
    cookie = {"Cookie": f"modelgate_openid={federated.http.cookies['modelgate_openid']}"}
    assert (await federated.http.get(sent_back.headers["location"])).headers["location"] == "/"
    assert _failed(await federated.http.get(sent_back.headers["location"], headers=cookie)) == "expired"


async def test_an_account_of_the_gateways_own_is_not_taken_over(federated: RunningGateway) -> None:
    accounts = Accounts(federated.parts.database, PasswordHasher())
    await accounts.create("ida", "a good password", "viewer")
    await _sign_in(federated)
    assert {(account.name, account.role) for account in await accounts.list()} == {
        ("ida", "viewer"),
        ("ida at 127.0.0.1", "admin"),
    }


async def test_a_provider_that_is_down_is_told(settings: Settings) -> None:
    admin = replace(settings.admin, openid_issuer="http://127.0.0.1:9", openid_client_id="x", openid_roles=ROLES)
    async with open_components(replace(settings, admin=admin)) as parts, running_gateway(parts) as gateway:
        assert _failed(await gateway.http.get("/auth/openid")) == "unavailable"
        assert OpenIdError.MESSAGES["unavailable"]


async def test_a_mapping_that_cannot_be_stops_the_start(settings: Settings) -> None:
    admin = replace(settings.admin, openid_issuer="http://127.0.0.1:9", openid_roles=("ops=boss",))
    async with open_components(replace(settings, admin=admin)) as parts:
        with pytest.raises(SettingsError, match=r"admin\.openid_roles"):
            async with running_gateway(parts):
                pass


@pytest.mark.parametrize("path", ["https://evil.example", "//evil.example", "/\\evil.example", "", "/a\nb"])
def test_nobody_is_sent_elsewhere_after_signing_in(path: str) -> None:
    assert local_path(path) == "/"
