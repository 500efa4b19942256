"""Servers that give each client a session of its own: whose it is, and that it ends with the client's."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from gateway.catalog.servers.tuning import Tuning
from tests.downstream.conftest import AddTalker
from tests.downstream.protocol.sessions.test_client_sessions import ACCEPT, INITIALIZE, opened
from tests.support.gateway import RunningGateway
from tests.support.waiting import until
from tests.upstream.processes import children

CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "talker__echo", "arguments": {}}}
HANG = {**CALL, "params": {"name": "talker__hang", "arguments": {}}}


async def add_own(gateway: RunningGateway, add_talker: AddTalker, tenant_id: int, **tuning: Any) -> Any:
    """A talker that each client has a process of."""
    talker = await add_talker(era="handshake")
    await gateway.parts.servers.set_tuning(tenant_id, talker.id, Tuning(session="per_client", **tuning))
    await gateway.parts.pool.close_server(talker.id)
    return talker


def answer(response: Any) -> Any:
    """The JSON-RPC message in an event stream."""
    assert response.status_code == 200
    data = [line.partition(": ")[2] for line in response.text.splitlines() if line.startswith("data: {")]
    return json.loads(data[-1])


async def test_a_process_of_a_client_ends_with_its_session_even_where_it_was_never_ready(
    gateway: RunningGateway, add_talker: AddTalker, tenant_id: int
) -> None:
    await add_own(gateway, add_talker, tenant_id)
    before = children()
    headers = {**ACCEPT, "X-API-Key": gateway.key}
    started = await gateway.post(INITIALIZE, **headers)
    headers["Mcp-Session-Id"] = started.headers["mcp-session-id"]
    # It never says that it is initialized.
    assert "result" in answer(await gateway.post(CALL, **headers))
    assert len(children() - before) == 1
    assert (await gateway.http.delete("/mcp", headers=headers)).status_code == 200
    await until(lambda: children() <= before)


@pytest.mark.parametrize("wait_for_the_call", [True, False])
async def test_a_call_in_flight_when_its_session_ends_leaves_no_process(
    gateway: RunningGateway, add_talker: AddTalker, tenant_id: int, wait_for_the_call: bool
) -> None:
    talker = await add_own(gateway, add_talker, tenant_id)
    before = children()
    headers = await opened(gateway)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: gateway.post(HANG, **headers))
        if wait_for_the_call:
            await talker.wait_for_log("hanging ")
        else:
            # The process is being started.
            await until(lambda: not children() <= before)
        assert (await gateway.http.delete("/mcp", headers=headers)).status_code == 200
        await until(lambda: children() <= before)
        tasks.cancel_scope.cancel()
    assert children() <= before


async def test_a_process_of_callers_without_a_session_ends_when_it_is_idle(
    gateway: RunningGateway, add_talker: AddTalker, tenant_id: int
) -> None:
    await add_own(gateway, add_talker, tenant_id, idle_stop_seconds=0.5)
    before = children()
    await gateway.call("talker__echo")
    assert len(children() - before) == 1
    await until(lambda: children() <= before)
    assert "content" in await gateway.call("talker__echo")
