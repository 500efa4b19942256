"""Clients are told that their lists have changed, in both eras, and only those whose own list did."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPDeprecationWarning

from gateway.access.roles import create_role
from gateway.access.rules import set_rule
from tests.downstream.conftest import HANDSHAKE, MODERN, AddTalker, Connect, Era
from tests.support.gateway import RunningGateway
from tests.support.waiting import until

TOOLS = "notifications/tools/list_changed"
PROMPTS = "notifications/prompts/list_changed"
UPDATED = "notifications/resources/updated"
CLIENTS = pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
BOTH = pytest.mark.parametrize("era", ["handshake", "modern"])


class Heard:
    """The methods of notifications, in order; `wait` for one."""

    def __init__(self) -> None:
        self.methods: list[str] = []
        self._more = anyio.Event()

    def add(self, method: str) -> None:
        self.methods.append(method)
        self._more.set()
        self._more = anyio.Event()

    async def wait(self, method: str) -> None:
        with anyio.fail_after(30):
            while method not in self.methods:
                await self._more.wait()


@contextlib.asynccontextmanager
async def listening(
    connect: Connect, mode: str, key: str | None = None, **what: Any
) -> AsyncIterator[tuple[Client, Heard]]:
    """A client that hears of changes in the way of its era."""
    heard = Heard()

    async def handle(message: Any) -> None:
        heard.add(getattr(message, "method", ""))

    async with connect(mode, key, message_handler=handle) as client:
        if mode == HANDSHAKE:
            # The stream on which a session hears is opened beside the first requests.
            await client.list_tools()
            await anyio.sleep(0.2)
            yield client, heard
            return
        wanted = what or {"tools_list_changed": True, "prompts_list_changed": True}
        async with client.listen(**wanted) as events, anyio.create_task_group() as tasks:

            async def follow() -> None:
                async for event in events:
                    heard.add(METHODS[type(event).__name__])

            tasks.start_soon(follow)
            yield client, heard
            tasks.cancel_scope.cancel()


METHODS = {"ToolsListChanged": TOOLS, "PromptsListChanged": PROMPTS, "ResourceUpdated": UPDATED}


@BOTH
@CLIENTS
async def test_a_change_upstream_is_synced_and_told(
    gateway: RunningGateway, add_talker: AddTalker, listing_key: str, connect: Connect, mode: str, era: Era
) -> None:
    await add_talker(era=era)
    async with listening(connect, mode, listing_key) as (client, heard):
        await client.call_tool("talker__change", {})
        await heard.wait(TOOLS)

        # What was told first may still be the end of the talker's own arrival.
        async def listed() -> bool:
            return "talker__extra" in [tool.name for tool in (await client.list_tools()).tools]

        await until(listed)
        await heard.wait(PROMPTS)


@CLIENTS
async def test_only_those_are_told_whose_own_list_has_changed(
    gateway: RunningGateway, add_talker: AddTalker, listing_key: str, connect: Connect, tenant_id: int, mode: str
) -> None:
    await add_talker("Seen")
    hidden = await add_talker("Hidden")
    role = await create_role(gateway.parts.database, tenant_id, "narrow", "ALLOW")
    await set_rule(gateway.parts.database, tenant_id, role.id, "DENY", server_id=hidden.id)
    key = (await gateway.parts.keys.create(tenant_id, "narrow", ["narrow"])).key
    async with (
        listening(connect, mode, key) as (narrow, heard_little),
        listening(connect, mode, listing_key) as (wide, heard_all),
    ):
        await wide.call_tool("hidden__change", {})
        await heard_all.wait(TOOLS)
        await heard_all.wait(PROMPTS)
        assert TOOLS not in heard_little.methods
        assert PROMPTS not in heard_little.methods
        # What changes for both is told to both: the stream of the other was open all the time.
        await narrow.call_tool("seen__change", {})
        await heard_little.wait(TOOLS)


@CLIENTS
async def test_a_change_of_a_rule_is_told(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, tenant_id: int, mode: str
) -> None:
    talker = await add_talker()
    role = await create_role(gateway.parts.database, tenant_id, "narrow", "DENY")
    key = (await gateway.parts.keys.create(tenant_id, "narrow", ["narrow"])).key
    async with listening(connect, mode, key) as (_, heard):
        await set_rule(gateway.parts.database, tenant_id, role.id, "ALLOW", server_id=talker.id)
        await heard.wait(TOOLS)


@BOTH
async def test_an_update_of_a_resource_reaches_the_session_that_subscribed(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, era: Era
) -> None:
    await add_talker(era=era)
    async with listening(connect, HANDSHAKE) as (client, heard):
        with pytest.warns(MCPDeprecationWarning):
            await client.session.subscribe_resource("note://Talker/a b")
        await heard.wait(UPDATED)


@BOTH
async def test_an_update_of_a_resource_reaches_the_stream_that_listens(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, era: Era
) -> None:
    await add_talker(era=era)
    async with listening(connect, MODERN, resource_subscriptions=["note://Talker/a b"]) as (_, heard):
        await heard.wait(UPDATED)


async def test_a_session_that_ends_unsubscribes(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect
) -> None:
    talker = await add_talker(era="handshake")
    async with listening(connect, HANDSHAKE) as (client, _):
        with pytest.warns(MCPDeprecationWarning):
            await client.session.subscribe_resource("note://Talker/a b")
        await talker.noted("resources/subscribe ")
    await talker.noted("resources/unsubscribe ")
