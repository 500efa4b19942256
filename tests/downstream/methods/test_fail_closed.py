"""What goes out to servers while `audit.fail_closed` is on: nothing that the trace does not hold before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference

from gateway.settings import Settings
from tests.downstream.conftest import HANDSHAKE, MODERN, AddTalker, Connect, Talker
from tests.support.gateway import RunningGateway

USES: dict[str, tuple[str, dict[str, Any]]] = {
    "tool.call": ("tools/call", {"name": "talker__echo", "arguments": {"n": 1}}),
    "prompt.get": ("prompts/get", {"name": "talker__greet", "arguments": {"who": "Ada"}}),
    "resource.read": ("resources/read", {"uri": "item://Talker/7"}),
    "completion.complete": (
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "talker__greet"}, "argument": {"name": "who", "value": "A"}},
    ),
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, audit=replace(settings.audit, fail_closed=True))


@pytest.fixture
async def talker(add_talker: AddTalker) -> Talker:
    return await add_talker(era="handshake")


@pytest.fixture
async def connection(gateway: RunningGateway) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(gateway.parts.database.url)
    yield opened
    await opened.close()


async def _started(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch("SELECT action FROM audit_log WHERE outcome = 'started' ORDER BY at, id")
    return [row["action"] for row in rows]


@pytest.mark.parametrize("action", USES)
async def test_every_use_that_was_answered_is_in_the_trace_already(
    gateway: RunningGateway, talker: Talker, connection: asyncpg.Connection, action: str
) -> None:
    method, params = USES[action]
    for number in range(1, 6):
        answer = await gateway.request(method, params)
        assert "result" in answer, answer
        # Read at once, as after a crash: nothing is waited for.
        assert await _started(connection) == [action] * number
    row = await connection.fetchrow("SELECT actor_name, roles, details FROM audit_log WHERE outcome = 'started'")
    assert row is not None
    assert (row["actor_name"], row["roles"]) == ("test", ["all"])


async def test_a_search_that_was_answered_is_in_the_trace_already(
    gateway: RunningGateway, talker: Talker, connection: asyncpg.Connection
) -> None:
    for number in range(1, 6):
        await gateway.call("tool_search", {"query": "echo"})
        assert await connection.fetchval("SELECT count(*) FROM tool_calls WHERE kind = 'search'") == number


@pytest.mark.parametrize("action", USES)
async def test_nothing_goes_out_that_cannot_be_recorded(
    gateway: RunningGateway, talker: Talker, connection: asyncpg.Connection, action: str
) -> None:
    method, params = USES[action]
    await gateway.request(method, params)
    await connection.execute("ALTER TABLE audit_log RENAME TO audit_log_away")
    answer = await gateway.request(method, params)
    assert "trace of calls cannot be written" in answer["error"]["message"]
    await connection.execute("ALTER TABLE audit_log_away RENAME TO audit_log")


@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
async def test_clients_in_sessions_are_gated_alike(
    gateway: RunningGateway, talker: Talker, connect: Connect, connection: asyncpg.Connection, mode: str
) -> None:
    async with connect(mode) as client:
        await client.call_tool("talker__echo", {})
        await client.complete(PromptReference(name="talker__greet"), {"name": "who", "value": "A"})
        assert await _started(connection) == ["tool.call", "completion.complete"]
        await connection.execute("ALTER TABLE audit_log RENAME TO audit_log_away")
        with pytest.raises(MCPError, match="trace of calls cannot be written"):
            await client.get_prompt("talker__greet", {"who": "Ada"})
        await connection.execute("ALTER TABLE audit_log_away RENAME TO audit_log")


@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
async def test_a_subscription_is_in_the_trace_before_its_server_hears_of_it(
    gateway: RunningGateway, talker: Talker, connect: Connect, connection: asyncpg.Connection
) -> None:
    async with connect(HANDSHAKE) as client:
        uri = next(str(resource.uri) for resource in (await client.list_resources()).resources)
        await client.subscribe_resource(uri)
        assert await _started(connection) == ["resource.subscribe"]
