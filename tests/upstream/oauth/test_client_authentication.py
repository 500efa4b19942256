"""How the gateway proves at an authorization server that it is the client that it says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path

import jwt
import pytest
from joserfc.jwk import ECKey, RSAKey

from gateway.errors import GrantRefusedError, InvalidInputError, UpstreamUnavailableError
from gateway.upstream.credentials.credential import ClientCertificate
from gateway.upstream.credentials.delegation import PersonalExchange, PersonalIdJag
from gateway.upstream.credentials.token_client import TokenClient
from tests.doubles.token_provider import RegisteredClient, TokenProvider
from tests.upstream.http.tls import guarded, made, pem
from tests.upstream.oauth.providers import BASIC, SECRET, WITH_SECRET, exchanged, key_client, register

RSA = RSAKey.generate_key(2048)
EC = ECKey.generate_key("P-256")


@pytest.fixture
async def provider() -> AsyncIterator[TokenProvider]:
    async with TokenProvider().running() as running:
        register(running)
        yield running


async def test_a_secret_is_shown_in_the_header_or_in_the_form(provider: TokenProvider) -> None:
    for method in ("client_secret_basic", "client_secret_post"):
        provider.exchanges.clients["gateway"] = RegisteredClient(SECRET, methods=(method,))
        await exchanged(provider, replace(WITH_SECRET, client=replace(BASIC, method=method)))
    assert "client_secret" not in provider.requests[0]
    assert provider.requests[1]["client_secret"] == SECRET


async def test_a_wrong_secret_is_told_as_such(provider: TokenProvider) -> None:
    with pytest.raises(GrantRefusedError, match=r"invalid_client\); check the credentials") as refused:
        await exchanged(provider, replace(WITH_SECRET, client=replace(BASIC, secret="wrong")))
    assert refused.value.reason == "invalid_client"


@pytest.mark.parametrize(
    ("key", "pem_form", "algorithm"),
    [(RSA, True, ""), (RSA, False, "PS256"), (EC, True, ""), (EC, False, "")],
    ids=["RSA", "RSA as JWK with PS256", "EC", "EC as JWK"],
)
async def test_a_key_signs_who_the_gateway_is(
    provider: TokenProvider, key: RSAKey | ECKey, pem_form: bool, algorithm: str
) -> None:
    provider.exchanges.clients["gateway"] = RegisteredClient(key=key)
    client = key_client(key, pem=pem_form, algorithm=algorithm)
    kind = replace(WITH_SECRET, client=client)
    await exchanged(provider, kind)
    # Each assertion is another: one that is heard on its way is good for nothing.
    await exchanged(provider, kind)
    assertion = provider.requests[0]["client_assertion"]
    assert jwt.get_unverified_header(assertion)["kid"] == "k1"
    assert "client_secret" not in provider.requests[0]


async def test_clocks_that_differ_are_made_up_for(provider: TokenProvider) -> None:
    provider.exchanges.clients["gateway"] = RegisteredClient(key=EC)
    kind = replace(WITH_SECRET, client=key_client(EC))
    provider.exchanges.clock_offset = 3_600
    with pytest.raises(GrantRefusedError, match="invalid_client"):
        await exchanged(provider, kind)
    # The provider tells the time by its own clock, as servers do.
    provider.date_offset = 3_600
    await exchanged(provider, kind)
    assert len(provider.requests) == 3


async def test_another_key_does_not_let_the_gateway_in(provider: TokenProvider) -> None:
    provider.exchanges.clients["gateway"] = RegisteredClient(key=ECKey.generate_key("P-256"))
    with pytest.raises(GrantRefusedError, match="invalid_client"):
        await exchanged(provider, replace(WITH_SECRET, client=key_client(EC)))


async def test_a_certificate_lets_the_gateway_in_where_the_provider_asks_for_one(
    provider: TokenProvider, tmp_path: Path
) -> None:
    authority = made("authority")
    shown, trusted = pem(*made("gateway", authority)), pem(*authority)
    provider.exchanges.clients["gateway"] = RegisteredClient(methods=("tls_client_auth",))
    certificate = ClientCertificate(shown.certificate, shown.key, trusted.certificate)
    client = TokenClient("gateway", "tls_client_auth", certificate=certificate)
    application = provider.application()
    async with guarded(tmp_path, pem(*made("localhost", authority)), trusted, application) as secured:
        # RFC 8705, section 5: where clients with certificates go.
        provider.more_metadata = {"mtls_endpoint_aliases": {"token_endpoint": f"{secured}/token"}}
        issued = await exchanged(provider, replace(WITH_SECRET, client=client))
        assert provider.read(issued.token)["aud"] == "docs"
        assert provider.requests[0]["client_id"] == "gateway"
        bare = replace(client, certificate=ClientCertificate(authority=trusted.certificate))
        with pytest.raises(UpstreamUnavailableError, match="does not answer"):
            await exchanged(provider, replace(WITH_SECRET, client=bare))
    with pytest.raises(InvalidInputError, match="needs a client certificate"):
        bare.check()


def test_the_thumbprint_of_a_certificate_tells_entra_which_key_it_is() -> None:
    pair = pem(*made("gateway"))
    client = TokenClient(
        "gateway", "private_key_jwt", private_key=pair.key, certificate=ClientCertificate(pair.certificate)
    )
    request = client.request("https://login.example/token", {"grant_type": "x"})
    assertion = dict(part.split("=", 1) for part in request.content.decode().split("&"))["client_assertion"]
    header = jwt.get_unverified_header(assertion)
    assert len(header["x5t#S256"]) == 43
    assert header["alg"] == "ES256"


@pytest.mark.parametrize(
    ("private_key", "algorithm"),
    [
        ("", ""),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", ""),
        (RSA.as_pem(private=False).decode(), ""),
        (EC.as_pem(private=True).decode(), "RS256"),
        (RSA.as_pem(private=True).decode(), "HS256"),
        (RSA.as_pem(private=True).decode(), "none"),
        ('{"kty": "oct", "k": "c2VjcmV0"}', ""),
    ],
)
def test_a_key_that_could_never_sign_is_refused(private_key: str, algorithm: str) -> None:
    client = TokenClient("gateway", "private_key_jwt", private_key=private_key, algorithm=algorithm)
    with pytest.raises(InvalidInputError, match="private key of the client cannot be used") as refused:
        client.check()
    assert private_key[30:60] not in refused.value.message or not private_key


def test_keys_of_every_kind_sign() -> None:
    for key in (RSA, EC, ECKey.generate_key("P-384"), ECKey.generate_key("P-521")):
        TokenClient("gateway", "private_key_jwt", private_key=key.as_pem(private=True).decode()).check()
    with pytest.raises(InvalidInputError):
        TokenClient("gateway", "telepathy").check()  # type: ignore[arg-type]


def test_an_exchange_is_read_as_it_was_written() -> None:
    certificate = ClientCertificate("one", "two", "three")
    kind = PersonalExchange(TokenClient("gateway", "tls_client_auth", certificate=certificate), "docs")
    assert PersonalExchange.from_dict(asdict(kind)) == kind


@pytest.mark.parametrize(
    "values",
    [
        {"client": []},
        {"client": {"client_id": 5}},
        {"client": {"client_id": "gateway"}, "audience": ["docs"]},
        {"client": {"client_id": "gateway", "certificate": "no mapping"}},
        {"client": {"client_id": "gateway"}, "unheard": "of"},
        {},
    ],
)
def test_what_somebody_wrote_that_is_no_exchange_is_told_as_such(values: dict[str, object]) -> None:
    for kind in (PersonalExchange, PersonalIdJag):
        with pytest.raises((TypeError, KeyError)):
            kind.from_dict({"issuer": "https://as.example", **values} if kind is PersonalIdJag else values)
