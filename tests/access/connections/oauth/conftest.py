"""Servers that take OAuth tokens of persons, and persons who call them through the parts of a gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anyio
import httpx2
import pytest

from gateway.access.caller import Caller
from gateway.access.connections.oauth.token_sources import TokenSources
from gateway.access.connections.source import FinishedSignIn, PersonAtServer
from gateway.access.persons import Identity, Person
from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import Components
from gateway.upstream.credentials.delegation import PersonalOAuth
from gateway.upstream.credentials.personal import PersonalKind
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.spec import ServerSpec
from tests.doubles.oauth_server import OAuthServer

ISSUER = "https://login.example"
REDIRECT = "http://127.0.0.1:1/oauth/callback"
BROWSER = "what only this browser has"


class SlowTokens:
    """The token endpoint of an authorization server, which answers each request of `waiting` only when it is let."""

    def __init__(self, server: OAuthServer) -> None:
        self._server = server
        self.asked = anyio.Event()
        self.let = anyio.Event()
        self.waiting: list[anyio.Event] = []
        server.answers["/as/token"] = self._answer

    async def _answer(self, request: Any) -> Any:
        own = anyio.Event()
        self.waiting.append(own)
        self.asked.set()
        async with anyio.create_task_group() as tasks:
            for event in (own, self.let):
                tasks.start_soon(self._end_with, event, tasks.cancel_scope)
        return await self._server.token(request)

    @staticmethod
    async def _end_with(event: anyio.Event, scope: anyio.CancelScope) -> None:
        await event.wait()
        scope.cancel()


async def call_as(parts: Components, spec: ServerSpec, name: str, issuer: str = ISSUER, token: str = "") -> Any:
    """The result of a call of the tool `secret` by the person called `name`."""
    tenant = await tenant_by_slug(parts.database)
    caller = Caller(tenant.id, 0, name, (), subject=name, issuer=issuer, token=token)
    return await parts.caller_requests.request(caller, spec, UpstreamRequest("tools/call", {"name": "secret"}))


async def add_server(parts: Components, name: str, url: str, kind: PersonalKind) -> ServerSpec:
    """A server that lets each person in as who they are."""
    tenant = await tenant_by_slug(parts.database)
    server_id = await parts.servers.add(tenant.id, ServerDefinition(name, "http", url=url))
    await parts.servers.set_personal(tenant.id, server_id, kind)
    return await parts.servers.spec(tenant.id, server_id)


@dataclass
class SignInWorld:
    """A server at whose authorization server each person signs in."""

    parts: Components
    oauth: OAuthServer
    spec: ServerSpec

    async def person(self, name: str) -> Person:
        """The person called so."""
        return await self.parts.persons.ensure(self.spec.tenant_id, Identity(ISSUER, name), name)

    async def at(self, name: str) -> PersonAtServer:
        """That person at the server."""
        return PersonAtServer(await self.person(name), self.spec)

    async def send_away(self, name: str, browser: str = BROWSER) -> dict[str, str]:
        """What the browser of a person comes back with, after they have agreed."""
        at = await self.at(name)
        address = await self.parts.token_sources.sign_in.begin(at, REDIRECT, browser, "", f"link of {name}")
        self.oauth.signs_in = name
        async with httpx2.AsyncClient() as http:
            back = (await http.get(address)).next_request
        assert back is not None
        return dict(back.url.params)

    async def come_back(self, answer: dict[str, str], browser: str = BROWSER) -> FinishedSignIn | None:
        """What comes of it."""
        source = self.parts.token_sources.sign_in
        return await source.finish(answer["state"], answer["code"], browser, answer.get("iss"))

    async def sign_in(self, *names: str) -> None:
        """Have persons connect the server."""
        for name in names:
            assert await self.come_back(await self.send_away(name)) is not None

    async def call(self, name: str) -> str:
        """As whom the server has seen a call of a person."""
        await call_as(self.parts, self.spec, name)
        return self.oauth.callers[-1]

    def requests(self, grant_type: str) -> list[dict[str, str]]:
        """What the authorization server was asked."""
        return [form for form in self.oauth.token_requests if form["grant_type"] == grant_type]

    def elsewhere(self) -> TokenSources:
        """The sources of another process on the same database."""
        parts = self.parts
        connections = type(parts.connections)(parts.database, parts.vault)
        return TokenSources(parts.database, parts.vault, parts.persons, connections, parts.settings, self.spec.policy)


@pytest.fixture
async def oauth() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().running() as server:
        yield server


@pytest.fixture
async def world(parts: Components, oauth: OAuthServer) -> SignInWorld:
    return SignInWorld(parts, oauth, await add_server(parts, "Docs", f"{oauth.url}/mcp", PersonalOAuth()))
