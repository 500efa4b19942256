"""What the gateway shows a server to be let in, beside headers that are set by hand."""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from gateway.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token that is sent as `Authorization: Bearer`."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Basic:
    """A name and a password, sent as `Authorization: Basic` (RFC 7617)."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """OAuth 2.1 client credentials; the secret goes to the authorization server called `issuer`, and nowhere else."""

    client_id: str
    client_secret: str = field(repr=False)
    issuer: str
    scope: str = ""


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """OAuth 2.1 authorization code with PKCE: a person signs in once, and the gateway refreshes the token.

    Without `client_id` the gateway names itself by its client metadata document at `metadata_url`, where there is one
    and the authorization server reads such documents, else it registers itself. `scope` is by default what the server
    asks for. `client_secret` goes to the authorization server called `issuer`, and nowhere else; without a secret the
    issuer may be left for the server to name.
    """

    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    scope: str = ""
    metadata_url: str = ""
    issuer: str = ""


Credential: TypeAlias = Bearer | Basic | ClientCredentials | AuthorizationCode

CREDENTIAL_TYPES: Mapping[str, type[Bearer] | type[Basic] | type[ClientCredentials] | type[AuthorizationCode]] = {
    "bearer": Bearer,
    "basic": Basic,
    "oauth_client_credentials": ClientCredentials,
    "oauth_authorization_code": AuthorizationCode,
}
"""The credentials by the name under which they are stored."""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate chain and its key for mutual TLS, in PEM; `authority` signs the server's own certificate."""

    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    authority: str = field(default="", repr=False)


def credential_kind(credential: Credential) -> str:
    """The name of a credential's kind."""
    return next(kind for kind, type_ in CREDENTIAL_TYPES.items() if type_ is type(credential))


def credential_to_dict(credential: Credential | None) -> dict[str, Any] | None:
    """A credential as plain values, to be sealed."""
    return None if credential is None else {"kind": credential_kind(credential), **asdict(credential)}


def credential_from_dict(values: Mapping[str, Any] | None) -> Credential | None:
    """What `credential_to_dict` made."""
    if not values:
        return None
    rest = {name: value for name, value in values.items() if name != "kind"}
    return CREDENTIAL_TYPES[values["kind"]](**rest)


def authorization_headers(credential: Credential | None) -> dict[str, str]:
    """The headers that say a credential which never changes."""
    if isinstance(credential, Bearer):
        return {"Authorization": f"Bearer {credential.token}"}
    if isinstance(credential, Basic):
        pair = f"{credential.username}:{credential.password}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}
    return {}


def check_credential(credential: Credential | None, certificate: ClientCertificate | None) -> None:
    """Raises InvalidInputError for values that could never be sent."""
    if isinstance(credential, Bearer) and not _is_sendable(credential.token):
        raise InvalidInputError(
            "The bearer token is empty, or holds a space or a character outside of ASCII.", "credential"
        )
    if isinstance(credential, Basic) and ":" in credential.username:
        raise InvalidInputError("The user name may not hold a colon; it separates name and password.", "credential")
    if isinstance(credential, ClientCredentials):
        if not credential.client_id or not credential.client_secret:
            raise InvalidInputError(
                "OAuth client credentials are a client id and a client secret; one is missing.", "credential"
            )
        if not credential.issuer.startswith(("https://", "http://")):
            raise InvalidInputError(
                "OAuth client credentials need the URL of the issuer that they are for.", "credential"
            )
    if isinstance(credential, AuthorizationCode):
        if credential.client_secret and not credential.issuer:
            raise InvalidInputError(
                "A client secret needs the URL of the issuer that it is for, or the server could name any other.",
                "credential",
            )
        if credential.issuer and not credential.issuer.startswith(("https://", "http://")):
            raise InvalidInputError("The issuer of OAuth is a URL that begins with https://.", "credential")
    if certificate is not None:
        build_tls_context(certificate)


def build_tls_context(certificate: ClientCertificate | None) -> ssl.SSLContext | None:
    """The TLS settings with a client certificate, None where there is none. Raises InvalidInputError."""
    if certificate is None:
        return None
    try:
        context = ssl.create_default_context()
        if certificate.authority:
            context.load_verify_locations(cadata=certificate.authority)
        if certificate.certificate:
            _load_chain(context, certificate)
    except (ssl.SSLError, ValueError):
        raise InvalidInputError(
            "The client certificate cannot be used; give certificate and unencrypted key that belong together, in PEM.",
            "certificate",
        ) from None
    return context


def _load_chain(context: ssl.SSLContext, certificate: ClientCertificate) -> None:
    # The ssl module reads certificates from files only; this one is readable by its owner alone, for an instant.
    descriptor, name = tempfile.mkstemp(prefix="modelgate-", suffix=".pem")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{certificate.certificate}\n{certificate.key}\n")
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()


def _is_sendable(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable() and " " not in token
