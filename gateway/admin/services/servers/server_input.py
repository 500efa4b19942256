"""Servers as people describe them, judged before they are added or changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import Field

from gateway.admin.accounts.principal import Principal
from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.services.servers.credential_input import (
    CertificateInput,
    CredentialInput,
    to_certificate,
    to_credential,
)
from gateway.catalog.servers.server_definition import ServerDefinition, TransportKind
from gateway.errors import ForbiddenError, InvalidInputError
from gateway.settings import AdminSettings

_Text = Annotated[str, Field(max_length=4_000)]
_Name = Annotated[str, Field(min_length=1, max_length=100)]
_Description = Annotated[str, Field(max_length=2_000)]
_Document = Annotated[str, Field(max_length=4_000_000)]
_Prefix = Annotated[str, Field(max_length=32)]

_STDIO_FIELDS = ("command", "args", "env", "cwd")
_URL_FIELDS = ("url", "headers")
_OPENAPI_FIELDS = ("document", "document_url")


@dataclass(frozen=True, slots=True)
class ServerInput:
    """A server to be added: a command for stdio, an OpenAPI document or its address for openapi, else a URL.

    `prefix` begins the exposed names of its tools, in place of the slug.
    """

    name: _Name
    transport: TransportKind
    command: _Text | None = None
    args: tuple[_Text, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: _Text | None = None
    url: _Text | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    description: _Description = ""
    prefix: _Prefix | None = None
    credential: CredentialInput | None = None
    certificate: CertificateInput | None = None
    document: _Document | None = field(default=None, repr=False)
    document_url: _Text | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ServerChange:
    """What of a server is to be changed; what is left out, or null, stays.

    In `env` and `headers` the value null keeps the value that is stored; names that are left out are removed. A server
    that moves to another origin keeps none of its headers, credential and certificate: what goes there has to be given.
    """

    name: _Name | None = None
    command: _Text | None = None
    args: tuple[_Text, ...] | None = None
    env: Mapping[str, str | None] | None = field(default=None, repr=False)
    cwd: _Text | None = None
    url: _Text | None = None
    headers: Mapping[str, str | None] | None = field(default=None, repr=False)
    description: _Description | None = None
    document: _Document | None = field(default=None, repr=False)
    document_url: _Text | None = None

    __pydantic_config__ = FORBID_EXTRA

    @property
    def changes_command(self) -> bool:
        """Whether another command, or the same in another way, would run."""
        return any(getattr(self, name) is not None for name in _STDIO_FIELDS)


def to_server_definition(new: ServerInput) -> ServerDefinition:
    """The server that an input describes. Raises InvalidInputError for fields that do not go with the transport."""
    given = {name for name in (*_STDIO_FIELDS, *_URL_FIELDS, *_OPENAPI_FIELDS) if getattr(new, name)}
    _check_fields(new.transport, given)
    if new.transport == "stdio" and not new.command:
        raise InvalidInputError("command is missing; a stdio server is a command to run.", "command")
    if new.transport in ("http", "sse") and not new.url:
        raise InvalidInputError(f"url is missing; an {new.transport} server is reached by one.", "url")
    if new.transport == "openapi" and bool(new.document) == bool(new.document_url):
        raise InvalidInputError("An openapi server needs either document or document_url, one of them.", "document")
    return ServerDefinition(
        name=new.name,
        transport=new.transport,
        command=new.command or None,
        args=new.args,
        env=new.env,
        cwd=new.cwd or None,
        url=new.url or None,
        headers=new.headers,
        description=new.description,
        prefix=new.prefix,
        credential=to_credential(new.credential),
        certificate=to_certificate(new.certificate),
        document=new.document or None,
        document_url=new.document_url or None,
    )


def apply_change(before: ServerDefinition, change: ServerChange) -> ServerDefinition:
    """`before` with a change made. Raises InvalidInputError for fields that do not go with its transport."""
    names = (*_STDIO_FIELDS, *_URL_FIELDS, *_OPENAPI_FIELDS, "name", "description")
    given: dict[str, Any] = {name: value for name in names if (value := getattr(change, name)) is not None}
    _check_fields(before.transport, given.keys() - {"name", "description"})
    for name in ("env", "headers"):
        if name in given:
            given[name] = _merge_secrets(getattr(before, name), given[name], name)
    if "cwd" in given:
        given["cwd"] = given["cwd"] or None
    if given.get("document"):
        given["document_url"] = None
    elif given.get("document_url"):
        given["document"] = None
    after = replace(before, **given)
    if after.destination == before.destination:
        return after
    anew = {name: value for name, value in (change.headers or {}).items() if value is not None}
    return replace(after, headers=anew, credential=None, certificate=None)


def authorize_stdio(server: ServerDefinition, principal: Principal, settings: AdminSettings) -> None:
    """Raises ForbiddenError where this principal may not have the gateway run a command.

    Whoever adds a command runs it with the rights of the gateway, so it takes an admin of every tenant. Which commands
    may be run at all is the policy's to say.
    """
    if server.transport != "stdio":
        return
    principal.require_write()
    if not principal.admin.every_tenant:
        raise ForbiddenError(
            "A stdio server is a command that runs on the gateway's machine; only an admin of every tenant may add one."
        )
    if principal.via == "token" and not settings.allow_stdio:
        raise ForbiddenError(
            "Stdio servers may not be added with an API token; set admin.allow_stdio to true, or add it in the browser."
        )


def _check_fields(transport: TransportKind, given: set[str]) -> None:
    allowed = {
        "stdio": _STDIO_FIELDS,
        "http": _URL_FIELDS,
        "sse": _URL_FIELDS,
        "openapi": (*_URL_FIELDS, *_OPENAPI_FIELDS),
    }[transport]
    wrong = sorted(given - set(allowed))
    if wrong:
        raise InvalidInputError(f"{wrong[0]} is not for a server of the transport {transport}; leave it out.", wrong[0])


def _merge_secrets(before: Mapping[str, str], change: Mapping[str, str | None], field_name: str) -> Mapping[str, str]:
    merged = {}
    for name, value in change.items():
        if value is None and name not in before:
            raise InvalidInputError(f"{name} has no value yet that could be kept; give one.", f"{field_name}.{name}")
        merged[name] = before[name] if value is None else value
    return merged
