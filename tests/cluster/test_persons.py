"""Persons at a server that one process of the gateway has the sessions with, and calls that come to the other."""

from __future__ import annotations

from gateway.upstream.credentials.personal import PersonalSecret
from tests.access.connections.conftest import add_personal_server
from tests.cluster.conftest import Pair, cluster_of
from tests.doubles.personal_server import PersonalServer
from tests.support.waiting import until


async def test_whoever_calls_is_let_in_as_who_they_are_whichever_process_is_asked(pair: Pair) -> None:
    async with PersonalServer(era="handshake").running() as server:
        world = await add_personal_server(pair.first, server, PersonalSecret())
        ann, ben = await world.add_somebody("ann"), await world.add_somebody("ben")
        await world.connect(ann, "token-of-ann")
        await world.connect(ben, "token-of-ben")
        params = {"name": "tracker__whoami", "arguments": {}}
        for gateway in pair.both * 2:
            for somebody in (ann, ben):
                answer = await gateway.request("tools/call", params, **{"X-API-Key": somebody.key})
                said = answer["result"]["content"][0]["text"]
                assert said == f"whoami as {somebody.person.name}"
        assert server.shared_sessions == []
        # All sessions are in one process, and end there whichever hears of it.
        owner = next(each for each in pair.both if world.server_id in cluster_of(each).owners.owned())
        assert len(owner.parts.pool.person_sessions()) == 2
        assert not pair.second.parts.pool.person_sessions() or owner is pair.second
        other = pair.second if owner is pair.first else pair.first
        await other.parts.connections.disconnect(world.tenant_id, ann.person.id, world.server_id)
        await until(lambda: len(owner.parts.pool.person_sessions()) == 1)
        answer = await other.request("tools/call", params, **{"X-API-Key": ann.key})
        assert "You have not connected Tracker" in answer["result"]["content"][0]["text"]
