"""What the gateway has to know of an upstream server to connect to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from gateway.upstream.credentials.credential import ClientCertificate, Credential
from gateway.upstream.credentials.oauth_grant import GrantStore
from gateway.upstream.credentials.personal import CurrentCredential, PersonalKind
from gateway.upstream.policy import DEFAULT_POLICY, ConnectionPolicy

_NOTHING: Mapping[str, str] = MappingProxyType({})
# Headers that let somebody in, by what they are called: Authorization, X-Api-Key, PRIVATE-TOKEN, X-Auth-Token, Cookie.
_AUTHORIZING = re.compile(
    r"auth|token|secret|passw|credential|cookie|session|(?:^|[-_]|api|access)key(?:$|[-_])", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """One upstream server: how to reach it and what it may take.

    `command`, `args`, `env`, `cwd` and `idle_stop_seconds` are for `transport="stdio"`, `url` and `headers` for the
    others. `document` or `document_url` is the OpenAPI document of `transport="openapi"`, where `url` may be None.
    `credential` and `certificate` let the gateway in; `grants` keeps the OAuth tokens. `env`, `headers` and these hold
    secrets in the clear, and so may `args`: none of them is shown by `repr`.
    Timeouts are in seconds; `idle_stop_seconds=0` never stops the child process. `start_timeout` is for a stdio server
    until its first answer, for it may have to be installed first; from then on `connect_timeout` holds.
    `prefix` begins the exposed names of the server's tools and prompts, without it the slug does.
    `policy` says what may be started and connected to at all.
    `session="per_client"` gives each downstream session an upstream session of its own, which `idle_stop_seconds` ends
    on any transport. `personal` says that calls are let in as the person who makes them, by what each has connected,
    and not by `credential`, which then is for listing; `list_as` is the person by whose connection is listed instead.
    `person` is there in the spec of a session of one person, and lets them in.
    Two specs that are equal describe the same connection; a pool reopens a server whose spec has changed.
    """

    id: int
    tenant_id: int
    name: str
    slug: str
    transport: Literal["stdio", "http", "sse", "openapi"]
    command: str | None = None
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
    cwd: str | None = None
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
    credential: Credential | None = field(default=None, repr=False)
    certificate: ClientCertificate | None = field(default=None, repr=False)
    grants: GrantStore | None = field(default=None, repr=False)
    personal: PersonalKind | None = field(default=None, repr=False)
    list_as: int | None = None
    person: CurrentCredential | None = field(default=None, compare=False, repr=False)
    document: str | None = field(default=None, repr=False)
    document_url: str | None = None
    connect_timeout: float = 10.0
    start_timeout: float = 120.0
    list_timeout: float = 30.0
    call_timeout: float = 60.0
    max_calls: int = 32
    session: Literal["shared", "per_client"] = "shared"
    idle_stop_seconds: float = 0.0
    prefix: str | None = None
    policy: ConnectionPolicy = field(default=DEFAULT_POLICY, repr=False)

    def for_person(self, person: CurrentCredential) -> ServerSpec:
        """What a session of one person is opened with: nothing that lets in the gateway itself, but a certificate."""
        headers = {name: value for name, value in self.headers.items() if not _AUTHORIZING.search(name)}
        return replace(self, person=person, credential=None, headers=headers, env={**self.env, **person.value.env})

    @property
    def first_answer_timeout(self) -> float:
        """How long the server may take until it first says anything, in seconds."""
        return self.start_timeout if self.transport == "stdio" else self.connect_timeout
