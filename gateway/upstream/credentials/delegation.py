"""Servers that take OAuth tokens of persons: who gives these tokens, and for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from gateway.errors import InvalidInputError
from gateway.upstream.credentials.credential import AuthorizationCode, ClientCertificate, check_credential
from gateway.upstream.credentials.token_client import TokenClient

ExchangeVariant: TypeAlias = Literal["token_exchange", "on_behalf_of"]
SubjectKind: TypeAlias = Literal["id_token", "refresh_token"]
"""What of a person's sign-in the company's provider is shown."""


@dataclass(frozen=True, slots=True)
class PersonalOAuth:
    """Each person signs in at the server's authorization server, as one person does for all with `--sign-in`."""

    sign_in: AuthorizationCode = field(default_factory=AuthorizationCode)

    def check(self) -> None:
        """Raises InvalidInputError for values that could never be sent."""
        check_credential(self.sign_in, None)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PersonalOAuth:
        """What `dataclasses.asdict` made."""
        return cls(AuthorizationCode(**_texts(values["sign_in"])))


@dataclass(frozen=True, slots=True)
class PersonalExchange:
    """A caller's access token is exchanged at the provider that gave it, `oauth.issuer`, for one of the server.

    It is shown to nobody else, so the provider is the operator's to say. `client` is the gateway as that provider knows
    it. `audience` and `resource` say which server the token is to be for (RFC 8693); what is empty is not sent.
    `on_behalf_of`, the form of Entra, knows neither: there `scope` says it.
    """

    client: TokenClient
    audience: str = ""
    resource: str = ""
    scope: str = ""
    variant: ExchangeVariant = "token_exchange"

    def check(self) -> None:
        """Raises InvalidInputError for an exchange that no provider could make."""
        self.client.check()
        if self.variant not in ("token_exchange", "on_behalf_of"):
            raise InvalidInputError("An exchange is made as token_exchange or on_behalf_of.", "variant")
        if self.variant == "on_behalf_of":
            if not self.scope:
                raise InvalidInputError(
                    "The on-behalf-of exchange needs the scope, such as api://server/.default.", "scope"
                )
            if self.audience or self.resource:
                raise InvalidInputError(
                    "The on-behalf-of exchange knows no audience and no resource; its scope names the server.", "scope"
                )
        elif not (self.audience or self.resource):
            raise InvalidInputError(
                "The exchange needs the audience or the resource that the server's tokens are for.", "audience"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PersonalExchange:
        """What `dataclasses.asdict` made."""
        rest = _texts({name: value for name, value in values.items() if name != "client"})
        return cls(client=_read_client(values["client"]), **rest)


@dataclass(frozen=True, slots=True)
class PersonalIdJag:
    """Enterprise-managed authorization of MCP: the company's provider vouches for each person at `issuer`.

    The provider is the one that persons sign in to the gateway at, `admin.openid_issuer`. `issuer` is the server's
    authorization server, and `client` the gateway there. `resource` is the server's own name for itself (RFC 9728).
    `subject` is what the provider is shown of a person's sign-in, by `provider_client` where that is not the one that
    persons sign in with.
    """

    issuer: str
    client: TokenClient
    resource: str = ""
    scope: str = ""
    subject: SubjectKind = "id_token"
    provider_client: TokenClient | None = None

    def check(self) -> None:
        """Raises InvalidInputError for what no provider could do."""
        if not self.issuer.startswith(("https://", "http://")):
            raise InvalidInputError(
                "An issuer is the URL of an authorization server, which begins with https://.", "issuer"
            )
        self.client.check()
        if self.provider_client is not None:
            try:
                self.provider_client.check()
            except InvalidInputError as error:
                raise InvalidInputError(error.message, f"provider_{error.field}") from None
        if self.subject not in ("id_token", "refresh_token"):
            raise InvalidInputError("What the provider is shown is an id_token or a refresh_token.", "subject")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PersonalIdJag:
        """What `dataclasses.asdict` made."""
        own = values.get("provider_client")
        rest = _texts({name: value for name, value in values.items() if name not in ("client", "provider_client")})
        return cls(
            client=_read_client(values["client"]),
            provider_client=None if own is None else _read_client(own),
            **rest,
        )


def _texts(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, each a text. Raises TypeError: they may come from a document that somebody has written."""
    if not isinstance(values, Mapping) or not all(isinstance(value, str) for value in values.values()):
        raise TypeError("not a mapping of texts")
    return dict(values)


def _read_client(values: Mapping[str, Any]) -> TokenClient:
    if not isinstance(values, Mapping):
        raise TypeError("a client is a mapping")
    certificate = values.get("certificate")
    rest = _texts({name: value for name, value in values.items() if name != "certificate"})
    return TokenClient(**rest, certificate=None if certificate is None else ClientCertificate(**_texts(certificate)))
