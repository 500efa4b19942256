"""Clients are told that their lists have changed, in both eras, and only those whose own list did."""

from __future__ import annotations

import anyio
import pytest

from gateway.access.roles import create_role
from gateway.access.rules import set_rule
from tests.downstream.conftest import HANDSHAKE, MODERN, AddTalker, Connect, Era
from tests.downstream.listening import PROMPTS, TOOLS, UPDATED, ListeningClient, listening
from tests.support.gateway import RunningGateway
from tests.support.waiting import until

CLIENTS = pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
BOTH = pytest.mark.parametrize("era", ["handshake", "modern"])
# Longer than it takes until somebody is told.
A_WHILE = 0.7


async def settled(*clients: ListeningClient) -> None:
    """Return once nothing is told any more: what comes first may be the end of the servers' own arrival."""
    before = None
    while (told := [len(client.received.all) for client in clients]) != before:
        before = told
        await anyio.sleep(A_WHILE)


@BOTH
@CLIENTS
async def test_a_change_upstream_is_synced_and_told(
    gateway: RunningGateway, add_talker: AddTalker, listing_key: str, connect: Connect, mode: str, era: Era
) -> None:
    await add_talker(era=era)
    async with listening(connect, mode, key=listing_key) as client:
        await client.client.call_tool("talker__change", {})
        await client.received.wait(TOOLS)

        # What was told first may still be the end of the talker's own arrival.
        async def listed() -> bool:
            return "talker__extra" in [tool.name for tool in (await client.client.list_tools()).tools]

        await until(listed)
        await client.received.wait(PROMPTS)


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
        listening(connect, mode, key=key) as narrow,
        listening(connect, mode, key=listing_key) as wide,
    ):
        await settled(narrow, wide)
        told = list(narrow.received.all)
        tools, prompts = wide.received.count(TOOLS), wide.received.count(PROMPTS)
        await wide.client.call_tool("hidden__change", {})
        await wide.received.wait(TOOLS, times=tools + 1)
        await wide.received.wait(PROMPTS, times=prompts + 1)
        assert narrow.received.all == told
        # What changes for both is told to both: the stream of the other was open all the time.
        tools = narrow.received.count(TOOLS)
        await narrow.client.call_tool("seen__change", {})
        await narrow.received.wait(TOOLS, times=tools + 1)


@CLIENTS
async def test_a_change_of_a_rule_is_told(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, tenant_id: int, mode: str
) -> None:
    talker = await add_talker()
    role = await create_role(gateway.parts.database, tenant_id, "narrow", "DENY")
    key = (await gateway.parts.keys.create(tenant_id, "narrow", ["narrow"])).key
    async with listening(connect, mode, key=key) as client:
        await set_rule(gateway.parts.database, tenant_id, role.id, "ALLOW", server_id=talker.id)
        await client.received.wait(TOOLS)


@BOTH
@CLIENTS
async def test_an_update_of_a_resource_reaches_who_subscribed(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str, era: Era
) -> None:
    await add_talker(era=era)
    async with listening(connect, mode, "note://Talker/a b") as client:
        await client.received.wait(UPDATED, "note://Talker/a b")


async def test_a_session_that_ends_unsubscribes(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect
) -> None:
    talker = await add_talker(era="handshake")
    async with listening(connect, HANDSHAKE, "note://Talker/a b"):
        await talker.wait_for_log("resources/subscribe ")
    await talker.wait_for_log("resources/unsubscribe ")
