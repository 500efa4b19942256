"""What holds for all processes together, whichever of them is asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from mcp import Client

from gateway.access.caller import Limits
from gateway.admin.accounts.account import Accounts
from gateway.admin.accounts.password import PasswordHasher
from gateway.cluster.leader_task import LeaderTask
from gateway.cluster.upstreams.remote_servers import RemoteServers
from gateway.upstream.rpc.negotiation import SessionInfo
from gateway.upstream.spec import ServerSpec
from tests.cluster.conftest import Pair, cluster_of
from tests.downstream.conftest import HANDSHAKE, MODERN
from tests.downstream.listening import PROMPTS, UPDATED, add_notifying_server, listening, subscribe, unsubscribe
from tests.support.gateway import RunningGateway
from tests.support.waiting import until

PASSWORD = "correct horse battery"
ECHO = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "talker__echo", "arguments": {}}}
HANG = {**ECHO, "params": {"name": "talker__hang", "arguments": {}}}


async def key_with(pair: Pair, limits: Limits) -> str:
    return (await pair.first.parts.keys.create(1, "limited", ["all"], limits=limits)).key


async def test_a_key_makes_as_many_requests_a_minute_as_it_may_wherever_it_makes_them(pair: Pair) -> None:
    key = await key_with(pair, Limits(requests_per_minute=4))
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    statuses = [(await each.post(ping, **{"X-API-Key": key})).status_code for each in pair.both * 3]
    assert statuses == [200] * 4 + [429] * 2


async def test_what_a_server_said_of_itself_is_known_wherever_its_record_changes(pair: Pair) -> None:
    talker = await pair.add_talker()
    asking = pair.other_than(pair.owner_of(talker))
    spec = await asking.parts.servers.spec(1, talker.id)
    # It has heard of the server as it was, or its client had left when the answer came.
    for known_as in (replace(spec, name="As it was"), spec, replace(spec, name="As it was"), spec):
        await asking.parts.pool.list_all(known_as, "tools/list", "tools")
        info = asking.parts.pool.session_info(known_as)
        assert info is not None
        assert info.server_info["name"] == "talker"


async def test_what_is_known_already_of_a_server_is_not_told_again(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    talker = await pair.add_talker()
    asking = pair.other_than(pair.owner_of(talker))
    spec = await asking.parts.servers.spec(1, talker.id)
    told: list[SessionInfo | None] = []
    set_info = RemoteServers.set_session_info

    def noted(self: RemoteServers, about: ServerSpec, info: SessionInfo | None, *mark: Any) -> None:
        told.append(info)
        set_info(self, about, info, *mark)

    monkeypatch.setattr(RemoteServers, "set_session_info", noted)
    asking.parts.pool._remote.forget(talker.id)  # type: ignore[attr-defined]
    for _ in range(3):
        await asking.parts.pool.list_all(spec, "tools/list", "tools")
    assert len(told) == 1


async def test_calls_under_way_are_counted_together_and_until_they_end(pair: Pair) -> None:
    talker = await pair.add_talker()
    key = {"X-API-Key": await key_with(pair, Limits(concurrent_calls=2))}
    hanging = [asyncio.create_task(each.post(HANG, **key)) for each in pair.both]
    await until(lambda: talker.log.exists() and talker.log.read_text().count("hanging") == 2)
    for each in pair.both:
        assert "2 calls under way" in (await each.post(ECHO, **key)).text
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)

    async def is_free(each: RunningGateway) -> bool:
        return "label" in (await each.post(ECHO, **key)).text

    for each in pair.both:
        await until(lambda each=each: is_free(each))  # type: ignore[misc]


async def test_a_server_takes_as_many_calls_as_it_may_from_all_together(pair: Pair) -> None:
    talker = await pair.add_talker()
    hanging = [asyncio.create_task(each.post(HANG)) for each in pair.both * 16]
    await until(lambda: talker.log.exists() and talker.log.read_text().count("hanging") == 32)
    busy = [asyncio.create_task(each.post(HANG)) for each in pair.both]
    await until(lambda: pair.owner_of(talker).parts.pool.calls()["waiting"] == 2)
    assert talker.log.read_text().count("hanging") == 32
    for task in [*hanging, *busy]:
        task.cancel()
    await asyncio.gather(*hanging, *busy, return_exceptions=True)


async def test_a_server_that_fails_is_left_alone_by_all_together(pair: Pair) -> None:
    await pair.add_talker()
    die = {**ECHO, "params": {"name": "talker__die", "arguments": {}}}
    # Five failures in a row, of which no process sees all.
    for each in (pair.both * 3)[:5]:
        assert "left alone" not in (await each.post(die)).text
    for each in pair.both:
        assert "left alone" in (await each.post(ECHO)).text


@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
async def test_what_a_server_says_unasked_reaches_clients_of_every_process(pair: Pair, mode: str) -> None:
    server = await add_notifying_server(pair.first, pair.folder, "handshake", prompts=[{"name": "greet"}])
    note = "note://Notifier/a"

    def at(gateway: RunningGateway) -> Any:
        @contextlib.asynccontextmanager
        async def connect(mode: str, key: str | None = None, **options: Any) -> AsyncIterator[Client]:
            async with pair.client(gateway, mode=mode, **options) as client:
                yield client

        return connect

    uris = () if mode == HANDSHAKE else (note,)
    async with listening(at(pair.first), mode, *uris) as one, listening(at(pair.second), mode, *uris) as two:
        if mode == HANDSHAKE:
            await subscribe(one.client, note)
            await subscribe(two.client, note)
        await server.wait_for_log(f"subscribed {note}", 2)
        await server.notify_updated(note)
        for each in (one, two):
            await each.received.wait(UPDATED, note)
        if mode == HANDSHAKE:
            # The server is told when the last one has unsubscribed.
            await unsubscribe(one.client, note)
            await server.notify_updated(note)
            await two.received.wait(UPDATED, note, 2)
            assert one.received.count(UPDATED, note) == 1
        for each in (one, two):
            await each.client.list_prompts()
        server.set_lists(prompts=[{"name": "greet"}, {"name": "part"}])
        await server.notify(PROMPTS)
        for each in (one, two):
            await each.received.wait(PROMPTS)


async def test_what_an_admin_has_begun_in_one_process_goes_on_in_every_other(pair: Pair) -> None:
    talker = await pair.add_talker()
    await Accounts(pair.first.parts.database, PasswordHasher()).create("ada", PASSWORD, "admin", None)
    await until(lambda: cluster_of(pair.second).membership.leader_id is not None)
    async with httpx2.AsyncClient(base_url=pair.second.url, timeout=30) as http:
        signed_in = await http.post("/api/v1/session", json={"name": "ada", "password": PASSWORD})
        assert signed_in.status_code == 200, signed_in.text
        http.headers["X-CSRF-Token"] = signed_in.json()["csrf_token"]
        for each, other in ((pair.first, pair.second), (pair.second, pair.first)):
            begun = await http.post(f"{each.url}/api/v1/servers/{talker.id}/sync")
            assert begun.status_code in (200, 202), begun.text
            job = await http.get(f"{other.url}/api/v1/servers/{talker.id}/sync")
            assert job.json()["server_id"] == talker.id
    assert sum(cluster_of(each).membership.is_leader for each in pair.both) == 1


async def test_what_the_leader_does_begins_again_after_it_has_failed(pair: Pair) -> None:
    (membership,) = [each for each in (cluster_of(each).membership for each in pair.both) if each.is_leader]
    begun: list[int] = []

    async def work() -> None:
        begun.append(len(begun))
        if len(begun) == 1:
            raise KeyError("what nobody thought of")
        await asyncio.Event().wait()

    task = asyncio.create_task(LeaderTask(membership, work).run())
    await until(lambda: begun == [0, 1])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
