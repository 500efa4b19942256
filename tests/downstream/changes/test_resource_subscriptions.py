"""Updates of resources: whoever subscribed hears them, whatever becomes of the server's sessions, and nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError

from gateway.access.roles import create_role
from gateway.access.rules import set_rule
from gateway.catalog.servers.tuning import Tuning
from gateway.database.pool import Database
from gateway.downstream.methods.resources import Resources
from tests.downstream.conftest import HANDSHAKE, MODERN, Connect, Era
from tests.downstream.listening import UPDATED, add_notifying_server, listening, subscribe, unsubscribe
from tests.support.gateway import RunningGateway
from tests.support.waiting import until

NOTE = "note://Notifier/a"
CLIENTS = pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
BOTH = pytest.mark.parametrize("era", ["handshake", "modern"])
ALIKE = pytest.mark.parametrize(("mode", "era"), [(HANDSHAKE, "handshake"), (MODERN, "modern")])
PER_CLIENT = Tuning(session="per_client")


@BOTH
@CLIENTS
async def test_a_subscription_outlives_the_server_that_crashes(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, mode: str, era: Era
) -> None:
    server = await add_notifying_server(gateway, tmp_path, era)
    async with listening(connect, mode, NOTE) as client:
        await server.wait_for_log(f"subscribed {NOTE}")
        await server.crash()
        # Nobody calls the server: it is started for the subscription, and what was missed meanwhile is made good.
        await server.wait_for_log(f"subscribed {NOTE}", 2)
        await client.received.wait(UPDATED, NOTE)
        before = client.received.count(UPDATED)
        assert await server.notify_updated(NOTE) == 1
        await client.received.wait(UPDATED, NOTE, before + 1)
        assert len(set(server.log_of("started"))) == 2


@ALIKE
async def test_a_subscription_outlives_a_change_of_the_server(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, mode: str, era: Era
) -> None:
    server = await add_notifying_server(gateway, tmp_path, era)
    async with listening(connect, mode, NOTE) as client:
        await server.wait_for_log(f"subscribed {NOTE}")
        await gateway.parts.servers.set_tuning(1, server.id, Tuning(call_timeout_seconds=7))
        await server.wait_for_log(f"subscribed {NOTE}", 2)
        before = client.received.count(UPDATED)
        await server.notify_updated(NOTE)
        await client.received.wait(UPDATED, NOTE, before + 1)


@ALIKE
async def test_a_server_that_somebody_subscribes_to_is_not_stopped_as_idle(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, mode: str, era: Era
) -> None:
    server = await add_notifying_server(gateway, tmp_path, era, tuning=Tuning(idle_stop_seconds=0.3))
    async with listening(connect, mode, NOTE) as client:
        await server.wait_for_log(f"subscribed {NOTE}")
        # The one that was there before it was tuned ends.
        await until(lambda: len(server.log_of("stopped")) == len(server.log_of("started")) - 1)
        started = len(server.log_of("started"))
        stopped = len(server.log_of("stopped"))
        await anyio.sleep(1)
        assert len(server.log_of("started")) == started
        assert len(server.log_of("stopped")) == stopped
        assert await server.notify_updated(NOTE) == 1
        await client.received.wait(UPDATED, NOTE)
    await server.wait_for_log("stopped", started)


@BOTH
@CLIENTS
async def test_an_update_in_one_clients_own_session_is_told_to_no_other(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, mode: str, era: Era
) -> None:
    server = await add_notifying_server(gateway, tmp_path, era, tuning=PER_CLIENT)
    other = (await gateway.parts.keys.create(1, "other", ["all"])).key
    before = set(server.log_of("started"))
    async with (
        listening(connect, mode, NOTE) as mine,
        listening(connect, mode, NOTE, key=other) as theirs,
    ):
        await server.wait_for_log(f"subscribed {NOTE}", 2)
        said = {"method": UPDATED, "params": {"uri": NOTE}}
        assert (await mine.client.call_tool("notifier__say", said)).content[0].text == "1"  # type: ignore[union-attr]
        await mine.received.wait(UPDATED, NOTE)
        assert theirs.received.count(UPDATED) == 0
        await theirs.client.call_tool("notifier__say", said)
        await theirs.received.wait(UPDATED, NOTE)
        assert mine.received.count(UPDATED) == 1
        subscribed = server.log_of(f"subscribed {NOTE}")
        assert len(set(subscribed)) == 2
        # One session of the gateway's own for its lists, one for each client.
        assert len(set(server.log_of("started")) - before) <= 3
        assert not set(subscribed) & before


@BOTH
async def test_a_client_that_leaves_has_no_upstream_session_opened_for_it(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, era: Era
) -> None:
    server = await add_notifying_server(gateway, tmp_path, era, tuning=PER_CLIENT)
    async with listening(connect, HANDSHAKE, NOTE):
        own = server.log_of(f"subscribed {NOTE}")[0]
        started = server.log_of("started")
    await until(lambda: own in server.log_of("stopped"))
    await anyio.sleep(0.3)
    assert server.log_of("started") == started


@BOTH
async def test_all_who_wait_for_one_subscription_are_told_that_it_is_refused(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, era: Era
) -> None:
    server = await add_notifying_server(gateway, tmp_path, era)
    server.set_lists(wait=True, refused=[NOTE])
    outcomes: list[str] = []
    async with listening(connect, HANDSHAKE) as one, listening(connect, HANDSHAKE) as two:

        async def try_it(client: object) -> None:
            try:
                await subscribe(client, NOTE)  # type: ignore[arg-type]
                outcomes.append("subscribed")
            except MCPError as error:
                outcomes.append(error.error.message)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(try_it, one.client)
            await server.wait_for_log(f"subscribing {NOTE}")
            tasks.start_soon(try_it, two.client)
            await anyio.sleep(0.3)
            # Nothing is known yet.
            assert outcomes == []
            server.set_lists(wait=False)
        assert len(outcomes) == 2
        assert "subscribed" not in outcomes
        # Once the server agrees, both can have it.
        server.set_lists(refused=[])
        await subscribe(one.client, NOTE)
        await subscribe(two.client, NOTE)
        await server.notify_updated(NOTE)
        await one.received.wait(UPDATED, NOTE)
        await two.received.wait(UPDATED, NOTE)


@BOTH
async def test_a_refusal_has_the_servers_own_code_and_words(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, era: Era
) -> None:
    server = await add_notifying_server(gateway, tmp_path, era)
    server.set_lists(refused=[NOTE])
    async with listening(connect, HANDSHAKE) as client:
        with pytest.raises(MCPError) as refused:
            await subscribe(client.client, NOTE)
        assert (refused.value.error.code, refused.value.error.message) == (-32602, "Not to be subscribed to")


@BOTH
async def test_a_stream_hears_of_a_server_that_was_away_when_it_began(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, era: Era
) -> None:
    server = await add_notifying_server(gateway, tmp_path, era)
    await gateway.request("resources/list")
    server.set_lists(down=True)
    await server.crash()
    async with listening(connect, MODERN, NOTE) as client:
        await until(lambda: gateway.parts.pool.status(server.id).last_error is not None)
        server.set_lists(down=False)
        await server.wait_for_log(f"subscribed {NOTE}")
        await server.notify_updated(NOTE)
        await client.received.wait(UPDATED, NOTE)


async def test_a_stream_about_many_resources_is_one_stream_for_the_server_too(
    gateway: RunningGateway, connect: Connect, tmp_path: Path
) -> None:
    uris = [f"note://{number}" for number in range(50)]
    server = await add_notifying_server(
        gateway, tmp_path, "modern", resources=[{"uri": uri, "name": "n"} for uri in uris]
    )
    async with listening(connect, MODERN, *uris) as client:
        await server.wait_for_log(f"subscribed {uris[-1]}")
        await server.notify_updated(uris[0])
        await client.received.wait(UPDATED, uris[0])
        # Some may come a moment after the first.
        assert len(server.log_of(f"subscribing {uris[0]}")) <= 10


@ALIKE
async def test_each_of_many_listeners_is_told_once(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, mode: str, era: Era
) -> None:
    server = await add_notifying_server(
        gateway, tmp_path, era, resources=[{"uri": f"note://{n}", "name": n} for n in "ab"]
    )
    async with (
        listening(connect, mode, "note://a") as one,
        listening(connect, mode, "note://a") as two,
        listening(connect, mode, "note://a", "note://b") as three,
    ):
        await server.wait_for_log("subscribed note://b")
        await server.notify_updated("note://a")
        for client in (one, two, three):
            await client.received.wait(UPDATED, "note://a")
        # What is said next comes after whatever might still be under way.
        await server.notify_updated("note://b")
        await three.received.wait(UPDATED, "note://b")
        assert [client.received.count(UPDATED, "note://a") for client in (one, two, three)] == [1, 1, 1]
        assert [client.received.count(UPDATED, "note://b") for client in (one, two)] == [0, 0]


@ALIKE
async def test_updates_end_with_the_right_to_the_server_and_come_back_with_it(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, mode: str, era: Era
) -> None:
    server = await add_notifying_server(gateway, tmp_path, era)
    role = await create_role(gateway.parts.database, 1, "narrow", "SEARCH")
    key = (await gateway.parts.keys.create(1, "narrow", ["narrow"])).key
    async with listening(connect, mode, NOTE, key=key) as client:
        await server.wait_for_log(f"subscribed {NOTE}")
        await set_rule(gateway.parts.database, 1, role.id, "DENY", server_id=server.id)
        await server.wait_for_log(f"unsubscribed {NOTE}")
        assert await server.notify_updated(NOTE) == 0
        await set_rule(gateway.parts.database, 1, role.id, "SEARCH", server_id=server.id)
        await server.wait_for_log(f"subscribed {NOTE}", 2)
        assert client.received.count(UPDATED) == 0
        await server.notify_updated(NOTE)
        await client.received.wait(UPDATED, NOTE)


@ALIKE
async def test_an_update_below_a_resource_is_told_to_who_subscribed_to_it(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, mode: str, era: Era
) -> None:
    server = await add_notifying_server(gateway, tmp_path, era)
    async with listening(connect, mode, NOTE) as client:
        await server.wait_for_log(f"subscribed {NOTE}")
        await server.notify_updated(f"{NOTE}/part")
        await client.received.wait(UPDATED, f"{NOTE}/part" if mode == HANDSHAKE else NOTE)


@BOTH
async def test_the_server_hears_of_the_last_client_that_unsubscribes(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, era: Era
) -> None:
    server = await add_notifying_server(gateway, tmp_path, era)
    async with listening(connect, HANDSHAKE, NOTE) as one, listening(connect, HANDSHAKE, NOTE) as two:
        await unsubscribe(one.client, NOTE)
        await server.notify_updated(NOTE)
        await two.received.wait(UPDATED, NOTE)
        assert one.received.count(UPDATED) == 0
        assert server.log_of(f"unsubscribed {NOTE}") == []
        await unsubscribe(two.client, NOTE)
        await server.wait_for_log(f"unsubscribed {NOTE}")


@CLIENTS
async def test_an_update_reaches_the_client_under_the_address_that_it_knows(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, mode: str
) -> None:
    same = [{"uri": "note://same", "name": "same"}]
    await add_notifying_server(gateway, tmp_path, "handshake", "North", resources=same)
    south = await add_notifying_server(gateway, tmp_path, "modern", "South", resources=same)
    async with connect(mode) as client:
        shown = [str(resource.uri) for resource in (await client.list_resources()).resources][1]
    async with listening(connect, mode, shown) as listener:
        await south.wait_for_log("subscribed note://same")
        await south.notify_updated("note://same")
        await listener.received.wait(UPDATED, shown)


async def test_more_resources_than_a_client_may_have_are_refused_before_any_is_looked_for(
    gateway: RunningGateway, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: object) -> Any:
        raise AssertionError("a resource was looked for")

    monkeypatch.setattr(Resources, "resolve", resolve)
    async with connect(MODERN) as client:
        with pytest.raises(MCPError) as refused:
            async with client.listen(resource_subscriptions=[f"made://up/{n}" for n in range(60_000)]):
                pass
    assert refused.value.error.code == -32602
    assert "has 60,000 addresses, more than the 1,000" in refused.value.error.message


async def test_other_callers_do_not_wait_for_one_who_listens_to_a_thousand_made_up_resources(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_notifying_server(
        gateway, tmp_path, "modern", resources=[{"uri": f"note://{n}", "name": "n"} for n in range(2_000)]
    )
    await gateway.request("resources/list")
    await gateway.request("resources/templates/list")
    sought = at_once = most_at_once = 0
    resolve, fetch = Resources.resolve, Database.fetch
    read: list[str] = []

    async def counted(*arguments: Any) -> Any:
        nonlocal sought, at_once, most_at_once
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        try:
            return await resolve(*arguments)
        finally:
            at_once -= 1
            sought += 1

    async def fetched(database: Database, name: str, *arguments: Any) -> Any:
        read.append(name)
        return await fetch(database, name, *arguments)

    monkeypatch.setattr(Resources, "resolve", counted)
    monkeypatch.setattr(Database, "fetch", fetched)
    most_meanwhile = 0
    async with connect(MODERN) as client, anyio.create_task_group() as tasks:

        async def listen() -> None:
            async with client.listen(resource_subscriptions=[f"made://up/{n}" for n in range(1_000)]):
                await until(lambda: sought == 1_000)

        tasks.start_soon(listen)
        while sought < 1_000:
            before = sought
            await gateway.request("ping")
            most_meanwhile = max(most_meanwhile, sought - before)
    assert most_at_once <= 16
    assert len(read) < 100
    # A request takes as long as some of the lookups, and does not wait for all of them.
    assert most_meanwhile < 500, most_meanwhile
