"""A server that lets each person in as who they are, behind a gateway, and two persons with keys of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.access.persons import Person
from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.upstream.credentials.credential import Bearer
from gateway.upstream.credentials.personal import PersonalKind, PersonalSecret
from tests.doubles.personal_server import PersonalServer
from tests.support.gateway import RunningGateway


@dataclass(frozen=True, slots=True)
class Somebody:
    """A person, by an API key of their own."""

    person: Person
    key: str
    key_id: int


@dataclass(frozen=True, slots=True)
class PersonalWorld:
    """A gateway before a server that lets each person in as who they are."""

    gateway: RunningGateway
    server: PersonalServer
    server_id: int
    tenant_id: int

    async def add_somebody(self, name: str) -> Somebody:
        """A person with a key."""
        parts = self.gateway.parts
        made = await parts.keys.create(self.tenant_id, name, ["all"])
        caller = await parts.keys.authenticate(made.key)
        person = await parts.persons.ensure(self.tenant_id, caller.person, caller.person_name)
        return Somebody(person, made.key, made.id)

    async def connect(self, somebody: Somebody, token: str) -> None:
        """Have the server know a token as theirs, and the gateway too."""
        self.server.persons[token] = somebody.person.name
        await self.gateway.parts.connections.connect(somebody.person, self.server_id, "secret", {"secret": token})

    async def call(self, somebody: Somebody, tool: str = "whoami") -> Any:
        """The result of a call of a tool of the server by somebody."""
        params = {"name": f"tracker__{tool}", "arguments": {}}
        answer = await self.gateway.request("tools/call", params, **{"X-API-Key": somebody.key})
        return answer["result"] if "result" in answer else answer["error"]

    async def says(self, somebody: Somebody, tool: str = "whoami") -> str:
        """The text of it."""
        text: str = (await self.call(somebody, tool))["content"][0]["text"]
        return text


async def add_personal_server(gateway: RunningGateway, server: PersonalServer, kind: PersonalKind) -> PersonalWorld:
    """Add the server, with a credential of its own for listing, and sync it."""
    parts = gateway.parts
    tenant = await tenant_by_slug(parts.database)
    new = ServerDefinition("Tracker", "http", url=server.url, credential=Bearer("listing-token"))
    server_id = await parts.servers.add(tenant.id, new)
    await parts.servers.set_personal(tenant.id, server_id, kind)
    await parts.sync.run(tenant.id, server_id)
    return PersonalWorld(gateway, server, server_id, tenant.id)


@pytest.fixture(params=["modern", "handshake"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[PersonalServer]:
    async with PersonalServer(era=request.param).running() as running:
        yield running


@pytest.fixture
async def world(gateway: RunningGateway, server: PersonalServer) -> PersonalWorld:
    return await add_personal_server(gateway, server, PersonalSecret())
