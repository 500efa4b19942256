"""Calls at a server that lets each person in as who they are."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta

import anyio
import asyncpg
import pytest

from gateway.access.persons import Identity
from gateway.access.roles import role_by_name
from gateway.access.rules import set_rule
from gateway.access.tenants import tenant_by_slug
from gateway.errors import SettingsError
from gateway.guards.approval.call_approval import Approver
from tests.access.connections.conftest import PersonalWorld, Somebody
from tests.support.waiting import until


async def test_two_persons_call_one_server_as_who_they_are_and_share_no_session(world: PersonalWorld) -> None:
    ann, ben = await world.add_somebody("ann"), await world.add_somebody("ben")
    await world.connect(ann, "token-of-ann")
    await world.connect(ben, "token-of-ben")
    world.server.allowed["ben"] = {"whoami"}
    said: dict[str, list[str]] = {"ann": [], "ben": []}

    async def call_often(name: str) -> None:
        for _ in range(5):
            said[name].append(await world.says(ann if name == "ann" else ben))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call_often, "ann")
        tasks.start_soon(call_often, "ben")
    assert said == {"ann": ["whoami as ann"] * 5, "ben": ["whoami as ben"] * 5}
    assert world.server.shared_sessions == []
    # What a person may not do is the server's answer, passed on.
    assert await world.says(ben, "delete_all") == "ben may not use delete_all"
    assert await world.says(ann, "delete_all") == "delete_all as ann"
    assert all(request.token != "listing-token" for request in world.server.seen if request.method == "tools/call")


async def test_who_has_connected_nothing_is_told_so_and_nothing_is_sent(world: PersonalWorld) -> None:
    ann, ben = await world.add_somebody("ann"), await world.add_somebody("ben")
    await world.connect(ann, "token-of-ann")
    assert await world.says(ann) == "whoami as ann"
    before = len(world.server.seen)
    refused = await world.call(ben)
    assert refused["isError"]
    assert "You have not connected Tracker yet" in refused["content"][0]["text"]
    assert len(world.server.seen) == before


async def test_a_session_ends_when_what_it_was_opened_with_is_withdrawn(world: PersonalWorld) -> None:
    ann, ben = await world.add_somebody("ann"), await world.add_somebody("ben")
    await world.connect(ann, "token-of-ann")
    await world.connect(ben, "token-of-ben")
    await world.says(ann)
    await world.says(ben)
    pool = world.gateway.parts.pool
    assert len(pool.person_sessions()) == 2
    # Somewhere else, as the command line does: all that comes here is a notice.
    await world.gateway.parts.connections.disconnect(world.tenant_id, ann.person.id, world.server_id)
    await until(lambda: len(pool.person_sessions()) == 1)
    assert (await world.call(ann))["isError"]
    assert await world.says(ben) == "whoami as ben"


async def test_a_new_secret_opens_a_new_session(world: PersonalWorld) -> None:
    ann = await world.add_somebody("ann")
    await world.connect(ann, "first")
    await world.says(ann)
    await world.connect(ann, "second")
    assert await world.says(ann) == "whoami as ann"
    assert world.server.calls_of("second") == 1
    assert all({each.token} in ({"first"}, {"second"}, {"listing-token"}) for each in world.server.seen)
    sessions: dict[str, set[str]] = {}
    for request in world.server.seen:
        sessions.setdefault(request.session, set()).add(request.token)
    sessions.pop("", None)
    assert all(len(tokens) == 1 for tokens in sessions.values())


async def test_a_token_that_the_server_takes_no_longer_is_asked_for_anew(world: PersonalWorld) -> None:
    ann, ben = await world.add_somebody("ann"), await world.add_somebody("ben")
    await world.connect(ann, "token-of-ann")
    await world.connect(ben, "token-of-ben")
    await world.says(ann)
    del world.server.persons["token-of-ann"]
    # However often one person is refused, the server is well, and others are let in.
    for _ in range(7):
        refused = await world.call(ann)
        assert "does not take what you gave for it any more" in refused["content"][0]["text"]
    assert await world.says(ben) == "whoami as ben"


async def test_a_secret_that_is_moved_to_another_row_opens_nothing(world: PersonalWorld) -> None:
    ann, ben = await world.add_somebody("ann"), await world.add_somebody("ben")
    await world.connect(ann, "token-of-ann")
    await world.connect(ben, "token-of-ben")
    parts = world.gateway.parts
    connection = await asyncpg.connect(parts.database.url)
    await connection.execute(
        "UPDATE connections SET sealed = (SELECT sealed FROM connections WHERE person_id = $1) WHERE person_id = $2",
        ann.person.id,
        ben.person.id,
    )
    await connection.close()
    fresh = type(parts.connections)(parts.database, parts.vault)
    with pytest.raises(SettingsError):
        await fresh.get(world.tenant_id, ben.person.id, world.server_id)


async def test_a_key_acts_for_its_owner_once_they_have_accepted_it_and_goes_on_when_it_is_rotated(
    world: PersonalWorld,
) -> None:
    parts = world.gateway.parts
    tenant = await tenant_by_slug(parts.database)
    ann = await parts.persons.ensure(tenant.id, Identity("https://issuer.example", "1"), "ann")
    await parts.connections.connect(ann, world.server_id, "secret", {"secret": "token-of-ann"})
    world.server.persons["token-of-ann"] = "ann"
    made = await parts.keys.create(tenant.id, "agent", ["all"], owner="Ann@example")

    async def call(key: str) -> str:
        params = {"name": "tracker__whoami", "arguments": {}}
        answer = await world.gateway.request("tools/call", params, **{"X-API-Key": key})
        text: str = answer["result"]["content"][0]["text"]
        return text

    assert "is to act for Ann@example, who has not accepted it" in await call(made.key)
    await parts.keys.accept(ann, made.id, "ann@example")
    assert await call(made.key) == "whoami as ann"
    rotated = await parts.keys.rotate(tenant.id, made.id)
    assert await call(rotated.key) == "whoami as ann"
    await parts.keys.release(ann, rotated.id)
    assert "has not accepted it" in await call(rotated.key)


async def test_a_key_that_nobody_owns_keeps_what_it_has_connected_when_it_is_rotated(world: PersonalWorld) -> None:
    ann = await world.add_somebody("ann")
    await world.connect(ann, "token-of-ann")
    rotated = await world.gateway.parts.keys.rotate(world.tenant_id, ann.key_id)
    params = {"name": "tracker__whoami", "arguments": {}}
    answer = await world.gateway.request("tools/call", params, **{"X-API-Key": rotated.key})
    assert answer["result"]["content"][0]["text"] == "whoami as ann"


async def test_at_another_address_nothing_that_was_connected_holds(world: PersonalWorld) -> None:
    ann = await world.add_somebody("ann")
    await world.connect(ann, "token-of-ann")
    servers = world.gateway.parts.servers
    before = await servers.load_definition(world.tenant_id, world.server_id)
    moved = dataclasses.replace(before, url="http://127.0.0.1:9/mcp", credential=None)
    await servers.update(world.tenant_id, world.server_id, moved)
    assert await world.gateway.parts.connections.get(world.tenant_id, ann.person.id, world.server_id) is None


async def test_a_person_who_is_removed_leaves_nothing_behind(world: PersonalWorld) -> None:
    parts = world.gateway.parts
    ann = await parts.persons.ensure(world.tenant_id, Identity("https://issuer.example", "1"), "ann")
    await parts.connections.connect(ann, world.server_id, "secret", {"secret": "token-of-ann"})
    world.server.persons["token-of-ann"] = "ann"
    made = await parts.keys.create(world.tenant_id, "agent", ["all"], owner="ann")
    await parts.keys.accept(ann, made.id, "ann")
    agent = Somebody(ann, made.key, made.id)
    assert await world.says(agent) == "whoami as ann"
    await parts.persons.remove(world.tenant_id, ann.id)
    await until(lambda: not parts.pool.person_sessions())
    assert "has not accepted it" in await world.says(agent)
    # Somebody who comes with the same name is somebody else.
    other = await parts.persons.ensure(world.tenant_id, Identity("https://issuer.example", "2"), "ann")
    assert await parts.connections.get(world.tenant_id, other.id, world.server_id) is None


async def test_a_key_that_is_revoked_leaves_nothing_of_its_own_unless_another_goes_on_for_it(
    world: PersonalWorld,
) -> None:
    parts = world.gateway.parts
    ann = await world.add_somebody("ann")
    await world.connect(ann, "token-of-ann")
    rotated = await parts.keys.rotate(world.tenant_id, ann.key_id, timedelta(hours=1))
    await parts.keys.revoke(world.tenant_id, ann.key_id)
    assert await world.says(Somebody(ann.person, rotated.key, rotated.id)) == "whoami as ann"
    await parts.keys.revoke(world.tenant_id, rotated.id)
    assert await parts.connections.page(world.tenant_id, None, (0, 0), 10) == []
    await until(lambda: not parts.pool.person_sessions())


async def test_what_was_allowed_is_not_used_up_by_a_call_that_lacks_its_connection(world: PersonalWorld) -> None:
    parts = world.gateway.parts
    role = await role_by_name(parts.database, world.tenant_id, "all")
    await set_rule(parts.database, world.tenant_id, role.id, "SEARCH", pattern="tracker__whoami", approve="require")
    ann = await world.add_somebody("ann")
    calling = asyncio.ensure_future(world.says(ann))

    async def is_asked() -> bool:
        return bool(await parts.approvals.list(world.tenant_id, waiting=True))

    await until(is_asked)
    [approval] = await parts.approvals.list(world.tenant_id, waiting=True)
    await parts.approvals.decide(world.tenant_id, approval.id, Approver("ada", "admin"), "approved")
    assert "You have not connected Tracker yet" in await calling
    await world.connect(ann, "token-of-ann")
    assert await world.says(ann) == "whoami as ann"
    assert not await parts.approvals.consume(approval)
