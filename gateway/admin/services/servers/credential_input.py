"""What the gateway is let in with at a server, as people give it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, JsonValue

from gateway.admin.request_input import FORBID_EXTRA
from gateway.upstream.credentials.credential import (
    AuthorizationCode,
    Basic,
    Bearer,
    ClientCertificate,
    ClientCredentials,
    Credential,
)

_Text = Annotated[str, Field(max_length=8_000)]
_Pem = Annotated[str, Field(max_length=100_000)]


@dataclass(frozen=True, slots=True)
class BearerInput:
    """A token that is sent as `Authorization: Bearer`."""

    kind: Literal["bearer"]
    token: _Text = field(repr=False)

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class BasicInput:
    """A name and a password, sent as `Authorization: Basic`."""

    kind: Literal["basic"]
    username: _Text
    password: _Text = field(repr=False)

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ClientCredentialsInput:
    """OAuth 2.1 client credentials for the authorization server called `issuer`."""

    kind: Literal["oauth_client_credentials"]
    client_id: _Text
    client_secret: _Text = field(repr=False)
    issuer: _Text
    scope: _Text = ""

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class AuthorizationCodeInput:
    """OAuth 2.1 with a sign-in by a person; without `client_id` the gateway registers itself.

    A `client_secret` goes to the authorization server called `issuer`, which has to be given with it.
    """

    kind: Literal["oauth_authorization_code"]
    client_id: _Text = ""
    client_secret: _Text = field(default="", repr=False)
    scope: _Text = ""
    metadata_url: _Text = ""
    issuer: _Text = ""

    __pydantic_config__ = FORBID_EXTRA


CredentialInput: TypeAlias = Annotated[
    BearerInput | BasicInput | ClientCredentialsInput | AuthorizationCodeInput, Field(discriminator="kind")
]


@dataclass(frozen=True, slots=True)
class CertificateInput:
    """A certificate chain and its key for mutual TLS, in PEM; `authority` signs the server's own certificate."""

    certificate: _Pem = field(default="", repr=False)
    key: _Pem = field(default="", repr=False)
    authority: _Pem = field(default="", repr=False)

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class CredentialsInput:
    """What a server's credential and client certificate are from now on; null is none."""

    credential: CredentialInput | None
    certificate: CertificateInput | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class PersonalInput:
    """How each person is let in from now on; null: all share the server's own credential.

    `personal` is as in the document of `modelgate export`: the `kind` and what goes with it, such as
    `{"kind": "secret", "place": "header", "name": "X-Api-Key", "form": "{secret}"}`. `list_as` is the number of the
    person by whose connection the server is listed, once they agree.
    """

    personal: Annotated[Mapping[str, JsonValue], Field(max_length=50)] | None
    list_as: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None

    __pydantic_config__ = FORBID_EXTRA


def to_credential(given: CredentialInput | None) -> Credential | None:
    """The credential that an input describes."""
    match given:
        case BearerInput():
            return Bearer(given.token)
        case BasicInput():
            return Basic(given.username, given.password)
        case ClientCredentialsInput():
            return ClientCredentials(given.client_id, given.client_secret, given.issuer, given.scope)
        case AuthorizationCodeInput():
            return AuthorizationCode(
                given.client_id, given.client_secret, given.scope, given.metadata_url, given.issuer
            )
        case _:
            return None


def to_certificate(given: CertificateInput | None) -> ClientCertificate | None:
    """The client certificate that an input describes."""
    return None if given is None else ClientCertificate(given.certificate, given.key, given.authority)
