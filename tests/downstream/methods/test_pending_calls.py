"""Calls of handshake servers that are pending while a modern client answers what the server asks."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import mcp_types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from gateway.access.caller import Limits
from gateway.access.roles import create_role
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.servers.tuning import Tuning
from gateway.components import open_components
from gateway.settings import Settings
from gateway.upstream.credentials.credential import Bearer
from tests.downstream.conftest import MODERN, AddTalker, Connect, text_of
from tests.support.cluster import Cluster
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.waiting import until


async def choose(context: Any, params: Any) -> mcp_types.ElicitResult:
    return mcp_types.ElicitResult(action="accept", content={"colour": "blue"})


async def ask(client: Client, name: str = "talker__ask") -> Any:
    """Begin a call that asks, and leave its question open."""
    asked: Any = await client.session.call_tool(name, {}, allow_input_required=True)
    assert asked.result_type == "input_required"
    return asked


async def answer(client: Client, asked: Any, name: str = "talker__ask", colour: str = "red") -> Any:
    """Go on with the call of `asked`."""
    given: Any = {
        key: mcp_types.ElicitResult(action="accept", content={"colour": colour}) for key in asked.input_requests
    }
    return await client.session.call_tool(
        name, {}, input_responses=given, request_state=asked.request_state, allow_input_required=True
    )


@pytest.fixture
async def limited_key(gateway: RunningGateway, tenant_id: int) -> str:
    """A key that may have one call under way, and two calls a day."""
    limits = Limits(concurrent_calls=1, calls_per_day=2)
    return (await gateway.parts.keys.create(tenant_id, "limited", ["all"], limits=limits)).key


async def test_a_pending_call_counts_as_under_way_until_it_has_ended(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, limited_key: str
) -> None:
    await add_talker(era="handshake")
    async with connect(MODERN, limited_key, elicitation_callback=choose) as client:
        asked = await ask(client)
        with pytest.raises(MCPError, match="1 calls under way"):
            await client.session.call_tool("talker__echo", {})
        # The answer is no further call, neither at the same time nor of the day.
        assert "red" in text_of(await answer(client, asked))
        assert "Talker" in text_of(await client.session.call_tool("talker__echo", {}))
        with pytest.raises(MCPError, match="2 calls a day"):
            await client.session.call_tool("talker__echo", {})


class TestShortTimeout:
    """With a gateway that gives clients one second to answer."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, mcp=replace(settings.mcp, question_seconds=1.0))

    async def test_a_pending_call_that_lapses_counts_no_longer(
        self, gateway: RunningGateway, add_talker: AddTalker, connect: Connect, limited_key: str
    ) -> None:
        talker = await add_talker(era="handshake")
        async with connect(MODERN, limited_key, elicitation_callback=choose) as client:
            await ask(client)
            await talker.wait_for_log("cancelled ")

            async def goes_through() -> bool:
                try:
                    return "Talker" in text_of(await client.session.call_tool("talker__echo", {}))
                except MCPError as error:
                    # The server may hear of it before the place is free.
                    if "1 calls under way" not in error.error.message:
                        raise
                    return False

            await until(goes_through)


async def test_a_caller_has_half_of_a_servers_calls_pending_and_leaves_the_rest_to_others(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, tenant_id: int, listing_key: str
) -> None:
    talker = await add_talker(era="handshake")
    await gateway.parts.servers.set_tuning(tenant_id, talker.id, Tuning(max_calls_in_flight=4, session="per_client"))
    async with connect(MODERN, elicitation_callback=choose) as client:
        pending = [await ask(client) for _ in range(2)]
        with pytest.raises(MCPError, match=r"2 of your calls to server Talker wait for your answers .*; answer one"):
            await client.session.call_tool("talker__ask", {}, allow_input_required=True)
        # What could not be kept does not go on upstream.
        await talker.wait_for_log("cancelled ")
        async with connect(MODERN, listing_key, elicitation_callback=choose) as other:
            assert "blue" in text_of(await other.call_tool("talker__ask", {}))
        for asked in pending:
            assert "red" in text_of(await answer(client, asked))
        assert "blue" in text_of(await client.call_tool("talker__ask", {}))


async def test_questions_that_come_together_are_all_answered(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect
) -> None:
    await add_talker(era="handshake")
    asked: list[str] = []

    async def count(context: Any, params: Any) -> mcp_types.ElicitResult:
        asked.append(params.message)
        # The next question comes meanwhile.
        await anyio.sleep(0.3)
        return await choose(context, params)

    async with connect(MODERN, elicitation_callback=count) as client:
        with anyio.fail_after(10):
            result = await client.call_tool("talker__together", {})
    assert text_of(result).count("blue") == 2
    assert len(asked) == 2


async def test_a_state_that_nobody_knows_starts_no_new_call_of_a_handshake_server(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect
) -> None:
    await add_talker(era="handshake")
    async with connect(MODERN, elicitation_callback=choose) as client:
        for state in ("modelgate.of-a-gateway-that-was-restarted", "of something else"):
            with pytest.raises(MCPError, match="waits for this requestState any more; make the call anew") as refused:
                await client.session.call_tool(
                    "talker__echo", {}, input_responses={}, request_state=state, allow_input_required=True
                )
            assert refused.value.error.code == -32602


async def test_a_pending_call_of_a_killed_server_says_so_when_its_client_comes_back(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect
) -> None:
    await add_talker(era="handshake")
    async with connect(MODERN, elicitation_callback=choose) as client:
        asked = await ask(client)
        await client.session.call_tool("talker__die", {})
        result = await answer(client, asked)
        assert result.is_error
        assert "Talker" in text_of(result)


@pytest.fixture
async def inner(cluster: Cluster, settings: Settings, tmp_path: Path) -> AsyncIterator[RunningGateway]:
    """Another ModelGate, with a database of its own."""
    name = await cluster.create()
    database = replace(settings.database, url=cluster.url(name))
    server = replace(settings.server, data_dir=str(tmp_path / "inner"))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(cluster.drop, name)
        parts = await stack.enter_async_context(open_components(replace(settings, database=database, server=server)))
        yield await stack.enter_async_context(running_gateway(parts))


async def test_questions_pass_through_a_modelgate_behind_a_modelgate(
    gateway: RunningGateway, inner: RunningGateway, add_talker: AddTalker, connect: Connect, tmp_path: Path
) -> None:
    outer_tenant = inner_tenant = 1
    talker = await add_talker("Away", era="handshake")
    spec = await gateway.parts.servers.spec(outer_tenant, talker.id)
    new = ServerDefinition("Talker", "stdio", command=spec.command, args=spec.args)
    await inner.parts.sync.run(inner_tenant, await inner.parts.servers.add(inner_tenant, new))
    await create_role(inner.parts.database, inner_tenant, "everything", "ALLOW")
    key = (await inner.parts.keys.create(inner_tenant, "outer", ["everything"])).key
    behind = ServerDefinition("Inner", "http", url=inner.mcp, credential=Bearer(key))
    await gateway.parts.sync.run(outer_tenant, await gateway.parts.servers.add(outer_tenant, behind))
    async with connect(MODERN, elicitation_callback=choose) as client:
        with anyio.fail_after(15):
            for tool in ("ask", "twice"):
                assert "blue" in text_of(await client.call_tool(f"inner__talker__{tool}", {}))
