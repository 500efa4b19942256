"""prompts/list_changed and resources/list_changed: told to those whose own list has changed, in both eras."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from mcp.shared.exceptions import MCPError

from gateway.access.caller import Limits
from gateway.access.roles import create_role
from gateway.access.rules import set_rule
from gateway.catalog.servers.tuning import Tuning
from gateway.components import Components
from gateway.downstream.application import McpLimits
from tests.downstream.conftest import HANDSHAKE, MODERN, Connect, Era
from tests.downstream.listening import PROMPTS, RESOURCES, TOOLS, add_notifying_server, listening
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.waiting import until

CLIENTS = pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
ALIKE = pytest.mark.parametrize(("mode", "era"), [(HANDSHAKE, "handshake"), (MODERN, "modern")])
# Longer than it takes until somebody is told.
A_WHILE = 0.7


def prompts(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


def resources(*uris: str) -> list[dict[str, str]]:
    return [{"uri": uri, "name": uri} for uri in uris]


@ALIKE
async def test_only_a_list_that_reads_otherwise_is_told(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, mode: str, era: Era
) -> None:
    server = await add_notifying_server(gateway, tmp_path, era, prompts=prompts("a"))
    async with listening(connect, mode) as client:
        assert [prompt.name for prompt in (await client.client.list_prompts()).prompts] == ["notifier__a"]
        await client.client.list_resources()
        await client.client.list_resource_templates()
        await server.notify(PROMPTS)
        await server.notify(RESOURCES)
        await anyio.sleep(A_WHILE)
        assert client.received.count(PROMPTS) == client.received.count(RESOURCES) == 0
        server.set_lists(prompts=prompts("a", "b"))
        await server.notify(PROMPTS)
        await server.notify(RESOURCES)
        await client.received.wait(PROMPTS)
        listed = [prompt.name for prompt in (await client.client.list_prompts()).prompts]
        assert listed == ["notifier__a", "notifier__b"]
        server.set_lists(resourceTemplates=[{"uriTemplate": "note://{x}", "name": "x"}])
        await server.notify(RESOURCES)
        await client.received.wait(RESOURCES)
        assert client.received.count(PROMPTS) == client.received.count(RESOURCES) == 1


@CLIENTS
async def test_a_list_that_nobody_has_asked_for_is_told_on_the_servers_word(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, mode: str
) -> None:
    server = await add_notifying_server(gateway, tmp_path, "modern")
    async with listening(connect, mode) as client:
        await server.notify(PROMPTS)
        await client.received.wait(PROMPTS)
        assert server.log_of("prompts/list") == []


@CLIENTS
async def test_who_gains_or_loses_a_server_is_told_of_every_list_that_it_is_in_and_nobody_else(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, mode: str
) -> None:
    server = await add_notifying_server(gateway, tmp_path, "handshake", "Full", prompts=prompts("a"))
    bare = await add_notifying_server(gateway, tmp_path, "modern", "Bare", resources=[])
    role = await create_role(gateway.parts.database, 1, "narrow", "DENY")
    other = await create_role(gateway.parts.database, 1, "other", "DENY")
    key = (await gateway.parts.keys.create(1, "narrow", ["narrow"])).key
    aside = (await gateway.parts.keys.create(1, "aside", ["other"])).key
    async with listening(connect, mode, key=key) as mine, listening(connect, mode, key=aside) as theirs:
        # A server that has neither prompts nor resources changes neither list.
        await set_rule(gateway.parts.database, 1, role.id, "SEARCH", server_id=bare.id)
        await until(lambda: len(bare.log_of("prompts/list")) >= 1)
        await anyio.sleep(A_WHILE)
        assert mine.received.count(PROMPTS) == mine.received.count(RESOURCES) == 0
        for times, visibility in enumerate(("SEARCH", "DENY", "ALLOW"), 1):
            await set_rule(gateway.parts.database, 1, role.id, visibility, server_id=server.id)  # type: ignore[arg-type]
            await mine.received.wait(PROMPTS, times=times)
            await mine.received.wait(RESOURCES, times=times)
        # What changes for the other is told to the other: its stream was open all the time.
        assert theirs.received.count(PROMPTS) == theirs.received.count(RESOURCES) == 0
        await set_rule(gateway.parts.database, 1, other.id, "ALLOW", server_id=server.id)
        await theirs.received.wait(PROMPTS)
        await theirs.received.wait(RESOURCES)
        assert mine.received.count(PROMPTS) == 3


@CLIENTS
async def test_a_server_that_comes_goes_or_is_switched_off_changes_the_lists_it_is_in(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, mode: str
) -> None:
    async with listening(connect, mode) as client:
        server = await add_notifying_server(gateway, tmp_path, "modern", prompts=prompts("a"))
        await client.received.wait(PROMPTS)
        await client.received.wait(RESOURCES)
        await gateway.parts.servers.set_enabled(1, server.id, False)
        await client.received.wait(PROMPTS, times=2)
        assert (await client.client.list_prompts()).prompts == []
        await gateway.parts.servers.set_enabled(1, server.id, True)
        await client.received.wait(PROMPTS, times=3)
        await gateway.parts.servers.remove(1, server.id)
        await client.received.wait(PROMPTS, times=4)
        await client.received.wait(RESOURCES, times=4)


@ALIKE
async def test_a_server_that_comes_back_with_other_lists_is_noticed(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, mode: str, era: Era
) -> None:
    server = await add_notifying_server(gateway, tmp_path, era, prompts=prompts("a"))
    async with listening(connect, mode) as client:
        await client.client.list_prompts()
        server.set_lists(prompts=prompts("b"))
        await server.crash()
        # While it is away its lists stay what they were.
        assert [prompt.name for prompt in (await client.client.list_prompts()).prompts] == ["notifier__a"]
        await client.client.call_tool("notifier__id", {})
        await client.received.wait(PROMPTS)
        assert [prompt.name for prompt in (await client.client.list_prompts()).prompts] == ["notifier__b"]
        assert client.received.count(RESOURCES) == 0


@CLIENTS
async def test_who_is_given_another_role_is_told(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, mode: str
) -> None:
    await add_notifying_server(gateway, tmp_path, "modern", prompts=prompts("a"))
    await create_role(gateway.parts.database, 1, "nothing", "DENY")
    await create_role(gateway.parts.database, 1, "everything", "ALLOW")
    key = await gateway.parts.keys.create(1, "changing", ["nothing"])
    async with listening(connect, mode, key=key.key) as client:
        await gateway.parts.keys.update(
            1, key.id, name="changing", roles=["everything"], expires_at=None, note="", limits=Limits()
        )
        await client.received.wait(TOOLS)
        await client.received.wait(PROMPTS)
        await client.received.wait(RESOURCES)


async def test_a_stopped_server_is_not_started_for_a_list_that_is_known(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    server = await add_notifying_server(
        gateway, tmp_path, "handshake", tuning=Tuning(idle_stop_seconds=0.2), prompts=prompts("a")
    )
    assert len((await gateway.request("prompts/list"))["result"]["prompts"]) == 1
    await until(lambda: gateway.parts.pool.status(server.id).state == "idle")
    started = server.log_of("started")
    assert len((await gateway.request("prompts/list"))["result"]["prompts"]) == 1
    assert server.log_of("started") == started


class TestOneStream:
    """With a gateway that takes one stream of each key."""

    @pytest.fixture
    async def gateway(self, parts: Components) -> AsyncIterator[RunningGateway]:
        async with running_gateway(parts, McpLimits(max_streams_per_caller=1)) as running:
            yield running

    async def test_sessions_take_no_room_from_streams(self, connect: Connect) -> None:
        async with (
            listening(connect, HANDSHAKE),
            listening(connect, HANDSHAKE),
            listening(connect, MODERN),
            connect(MODERN) as another,
        ):
            with pytest.raises(MCPError, match="1 streams are open with this key"):
                async with another.listen(tools_list_changed=True):
                    pass
