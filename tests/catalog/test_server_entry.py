"""The credential and the certificate of a server, in the document of a tenant's configuration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.catalog.configuration.document import Configuration, ServerEntry, format_configuration, parse_configuration
from gateway.catalog.configuration.placeholders import PlaceholderNames
from gateway.catalog.configuration.server_entry import export_server, resolve_server
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.servers.tuning import Tuning
from gateway.errors import InvalidInputError
from gateway.upstream.credentials.credential import (
    AuthorizationCode,
    Basic,
    Bearer,
    ClientCertificate,
    ClientCredentials,
    Credential,
)

SECRET = "s3cret-that-nobody-may-see"
ISSUER = "https://auth.example"
CERTIFICATE = ClientCertificate("-----BEGIN CERTIFICATE-----\nA\n", f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n")


def server_with(credential: Credential | None, certificate: ClientCertificate | None = None) -> ServerDefinition:
    return ServerDefinition(
        "Web", "http", url="https://web.example/mcp", credential=credential, certificate=certificate
    )


def exported(server: ServerDefinition) -> ServerEntry:
    """Its entry, as it is read from the document that was written."""
    text = format_configuration(
        Configuration(1, (export_server(server, Tuning(), PlaceholderNames(server.name), enabled=True),))
    )
    assert SECRET not in text
    (entry,) = parse_configuration(text).servers or ()
    return entry


@pytest.mark.parametrize(
    ("credential", "secret"),
    [
        (Bearer(SECRET), "WEB_TOKEN"),
        (Basic("me", SECRET), "WEB_PASSWORD"),
        (ClientCredentials("gateway", SECRET, ISSUER, "read"), "WEB_CLIENT_SECRET"),
        (AuthorizationCode("gateway", SECRET, issuer=ISSUER), "WEB_CLIENT_SECRET"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_credential_goes_without_its_secret_and_comes_back_with_what_is_stored_or_given(
    credential: Credential, secret: str
) -> None:
    server = server_with(credential, CERTIFICATE)
    entry = exported(server)
    at_home = resolve_server(entry, server, {})
    assert (at_home.definition, at_home.missing) == (server, ())
    elsewhere = resolve_server(entry, None, {})
    assert (elsewhere.definition.credential, elsewhere.definition.certificate) == (None, None)
    assert elsewhere.missing == (secret, "WEB_KEY")
    given = resolve_server(entry, None, {secret: SECRET, "WEB_KEY": CERTIFICATE.key})
    assert (given.definition, given.missing) == (server, ())
    # Of another kind, or for another server, it is not the secret that is asked for.
    assert resolve_server(entry, server_with(None), {}).missing == (secret, "WEB_KEY")
    assert resolve_server(replace(entry, url="https://evil.example/mcp"), server, {}).missing == (secret, "WEB_KEY")


@pytest.mark.parametrize(
    "credential",
    [ClientCredentials("gateway", SECRET, ISSUER), AuthorizationCode("gateway", SECRET, issuer=ISSUER)],
    ids=lambda each: type(each).__name__,
)
@pytest.mark.parametrize("issuer", ["https://evil.example", ""])
def test_a_stored_client_secret_is_not_used_for_another_authorization_server(
    credential: Credential, issuer: str
) -> None:
    server = server_with(credential)
    entry = exported(server)
    moved = replace(entry, credential={**(entry.credential or {}), "issuer": issuer})
    resolved = resolve_server(moved, server, {})
    assert (resolved.definition.credential, resolved.missing) == (None, ("WEB_CLIENT_SECRET",))
    named = replace(entry, credential={**(entry.credential or {}), "issuer": "${WHERE}"})
    assert resolve_server(named, server, {}).definition.credential == credential
    assert resolve_server(named, server, {"WHERE": ISSUER}).definition.credential == credential
    assert resolve_server(named, server, {"WHERE": "https://evil.example"}).missing == ("WEB_CLIENT_SECRET",)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"credential": {"token": "x"}}, "credential of 'Web' has to have a kind: one of bearer, basic"),
        ({"credential": {"kind": "bearer", "tokn": "x"}}, "credential of 'Web' is not one of the kind bearer"),
        ({"certificate": {"pem": "x"}}, "certificate of 'Web' has certificate, key and authority"),
    ],
    ids=["kind", "field", "certificate"],
)
def test_what_is_no_credential_is_named(entry: dict[str, dict[str, str]], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        resolve_server(replace(exported(server_with(None)), **entry), None, {})  # type: ignore[arg-type]
