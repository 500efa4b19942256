"""What is kept of connections in memory: nothing that has changed, and nobody's is dropped for what another does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.access.connections.connections import Connection, Connections
from gateway.access.connections.needs import ConnectionNeeds
from gateway.access.persons import Identity, Person, Persons
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import Components
from gateway.database.notices import Notices
from gateway.database.pool import open_database
from gateway.settings import Settings
from gateway.upstream.credentials.personal import PersonalSecret
from tests.support.waiting import until


@pytest.fixture
async def listening(parts: Components) -> AsyncIterator[Components]:
    async with parts.notices.listening():
        yield parts


async def add_server(parts: Components, name: str) -> int:
    server_id = await parts.servers.add(1, ServerDefinition(name, "http", url="http://127.0.0.1:9/mcp"))
    await parts.servers.set_personal(1, server_id, PersonalSecret())
    return server_id


async def persons(parts: Components) -> tuple[Person, Person]:
    ann, ben = [await parts.persons.ensure(1, Identity("https://idp.example", name), name) for name in ("ann", "ben")]
    return ann, ben


class Kept:
    """What two persons have connected at two servers, as it is kept by `connections`."""

    def __init__(self, connections: Connections, places: list[tuple[int, int]]) -> None:
        self.connections = connections
        self.places = places
        self.before: list[Connection | None] = []

    async def load(self) -> None:
        self.before = [await self.connections.get(1, *place) for place in self.places]

    async def changed(self) -> list[tuple[int, int]]:
        """Where another is read by now."""
        now = [await self.connections.get(1, *place) for place in self.places]
        return [place for place, was, new in zip(self.places, self.before, now, strict=True) if was is not new]


async def test_who_connects_changes_what_is_kept_of_that_place_alone_in_every_process(
    listening: Components, settings: Settings
) -> None:
    parts = listening
    ann, ben = await persons(parts)
    servers = [await add_server(parts, name) for name in ("One", "Two")]
    places = [(person.id, server_id) for person in (ann, ben) for server_id in servers]
    for person in (ann, ben):
        for server_id in servers:
            await parts.connections.connect(person, server_id, "secret", {"secret": "s"})
    async with open_database(settings, size=2) as elsewhere:
        notices = Notices(elsewhere)
        async with notices.listening():
            here = Kept(parts.connections, places)
            there = Kept(Connections(elsewhere, parts.vault, notices), places)
            for change in ("connect", "agree", "disconnect"):
                for kept in (here, there):
                    await kept.load()
                    assert await kept.changed() == []
                if change == "connect":
                    await parts.connections.connect(ann, servers[0], "secret", {"secret": "other"})
                elif change == "agree":
                    await parts.connections.agree_to_listing(1, ann.id, servers[0], agreed=True)
                else:
                    await parts.connections.disconnect(1, ann.id, servers[0])
                assert await here.changed() == [(ann.id, servers[0])]

                async def told() -> bool:
                    return bool(await there.changed())

                await until(told)
                assert await there.changed() == [(ann.id, servers[0])]


async def test_a_notice_of_a_replica_of_the_version_before_drops_all_of_the_tenant(listening: Components) -> None:
    """It names no server."""
    parts = listening
    ann, ben = await persons(parts)
    server_id = await add_server(parts, "One")
    for person in (ann, ben):
        await parts.connections.connect(person, server_id, "secret", {"secret": "s"})
    kept = Kept(parts.connections, [(ann.id, server_id), (ben.id, server_id)])
    await kept.load()
    async with parts.database.connection() as connection:
        payload = f'{{"tenant": 1, "person": {ann.id}}}'
        await connection._connection.execute("SELECT pg_notify('modelgate', $1)", payload)

    async def dropped() -> bool:
        return len(await kept.changed()) == 2

    await until(dropped)


async def test_what_a_person_needs_is_told_anew_for_that_person_alone(listening: Components) -> None:
    parts = listening
    needs = ConnectionNeeds(parts.database, Persons(parts.database, parts.notices), parts.notices)
    made = [await parts.keys.create(1, name, ["all"]) for name in ("ann", "ben")]
    ann, ben = [await parts.keys.authenticate(key.key) for key in made]
    server_id = await add_server(parts, "One")
    other_id = await add_server(parts, "Two")
    person = await parts.persons.ensure(1, ann.person, ann.person_name)
    assert [await needs.unconnected_servers(caller) for caller in (ann, ben)] == [{"One", "Two"}] * 2
    await parts.connections.connect(person, server_id, "secret", {"secret": "s"})
    assert [await needs.unconnected_servers(caller) for caller in (ann, ben)] == [{"Two"}, {"One", "Two"}]
    await parts.connections.connect(person, other_id, "secret", {"secret": "s"})
    await parts.connections.disconnect(1, person.id, server_id)
    assert [await needs.unconnected_servers(caller) for caller in (ann, ben)] == [{"One"}, {"One", "Two"}]
