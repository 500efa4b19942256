"""A server as its admin defines it, what it may be, and what of it is secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2

from gateway.errors import InvalidInputError
from gateway.upstream.credentials.credential import (
    ClientCertificate,
    Credential,
    check_credential,
    credential_from_dict,
    credential_to_dict,
)
from gateway.upstream.openapi.document import parse_document
from gateway.upstream.openapi.server_address import Origin, declared_address, url_origin
from gateway.upstream.policy import DEFAULT_POLICY, ConnectionPolicy

TransportKind = Literal["stdio", "http", "sse", "openapi"]

_NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class ServerDefinition:
    """A server to be added or changed: a command for stdio, else a URL. `env` and `headers` may hold secrets.

    An OpenAPI server is a `document`, or a `document_url` to read it from; a `url` goes before the document's own.
    """

    name: str
    transport: TransportKind
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    description: str = ""
    prefix: str | None = None
    credential: Credential | None = None
    certificate: ClientCertificate | None = None
    document: str | None = field(default=None, repr=False)
    document_url: str | None = None

    @property
    def destination(self) -> Origin | None:
        """The origin that headers, credential and certificate are sent to, None where there is none.

        Whoever changes it may not know these: what was stored for one origin is not for another.
        """
        url = self.url or self.document_url
        try:
            if url is None and self.document is not None:
                url = declared_address(parse_document(self.name, self.document).values.get("servers"))
            return None if url is None else url_origin(url)
        except (InvalidInputError, httpx2.InvalidURL):
            return None

    @property
    def secrets(self) -> ServerSecrets:
        return ServerSecrets(self.env, self.headers, self.credential, self.certificate)


def check_server_definition(server: ServerDefinition, policy: ConnectionPolicy = DEFAULT_POLICY) -> None:
    """Raises InvalidInputError for a server that cannot be, or may not by the gateway's `policy`."""
    if not server.name.strip() or len(server.name) > _NAME_LENGTH or not server.name.isprintable():
        raise InvalidInputError(
            f"The server name {server.name[:_NAME_LENGTH]!r} has to be 1 to {_NAME_LENGTH} printable characters.",
            "name",
        )
    if "/" in server.name:
        raise InvalidInputError(
            f"The server name {server.name!r} may not hold a slash; it separates server and tool.", "name"
        )
    if server.prefix is not None and not re.fullmatch(r"[A-Za-z0-9_-]{0,32}", server.prefix):
        raise InvalidInputError(
            f"The prefix {server.prefix[:_NAME_LENGTH]!r} has to be at most 32 letters, digits, _ or -.", "prefix"
        )
    if server.transport == "stdio":
        if not server.command:
            raise InvalidInputError(f"The stdio server {server.name!r} needs a command.", "command")
        for part, environment in (("command", {}), ("env", server.env)):
            reason = policy.command_refusal(server.command, environment)
            if reason is not None:
                raise InvalidInputError(f"The server {server.name!r} may not be: {reason}.", part)
        if server.credential is not None or server.certificate is not None:
            part = "certificate" if server.credential is None else "credential"
            raise InvalidInputError(f"The stdio server {server.name!r} takes secrets in its environment only.", part)
        return
    if server.transport == "openapi":
        if (server.document is None) == (server.document_url is None):
            raise InvalidInputError(
                f"The OpenAPI server {server.name!r} needs a document, or the URL of one.", "document"
            )
        if server.document is not None:
            parse_document(server.name, server.document)
    if server.url is not None or server.transport != "openapi":
        _check_url(server.name, "url", server.url or "", policy)
    if server.document_url is not None:
        _check_url(server.name, "document_url", server.document_url, policy)
    check_credential(server.credential, server.certificate)
    for header in server.headers:
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", header):
            raise InvalidInputError(f"{header!r} is not the name of an HTTP header.", "headers")


@dataclass(frozen=True, slots=True)
class ServerSecrets:
    """What of a server is kept sealed."""

    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    credential: Credential | None = None
    certificate: ClientCertificate | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "env": dict(self.env),
            "headers": dict(self.headers),
            "credential": credential_to_dict(self.credential),
            "certificate": None if self.certificate is None else asdict(self.certificate),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ServerSecrets:
        """What `to_dict` made."""
        certificate = values.get("certificate")
        return cls(
            env=values.get("env", {}),
            headers=values.get("headers", {}),
            credential=credential_from_dict(values.get("credential")),
            certificate=None if certificate is None else ClientCertificate(**certificate),
        )


def _check_url(name: str, field: str, url: str, policy: ConnectionPolicy) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInputError(f"The URL of {name!r} has to begin with http:// or https:// and name a host.", field)
    reason = policy.url_refusal(url)
    if reason is not None:
        raise InvalidInputError(f"The server {name!r} may not be: {reason}.", field)
