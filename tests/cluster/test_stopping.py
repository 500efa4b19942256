"""What comes to a process that stops while others go on."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from mcp_types import ElicitRequestParams, ElicitResult
from starlette.types import Message

from gateway.cluster.member import Member, id_held_by, new_member_id
from gateway.cluster.membership import Membership
from gateway.components import open_components
from gateway.downstream.protocol.mcp_endpoint import McpEndpoint
from gateway.settings import Settings
from tests.cluster.conftest import Pair, cluster_of
from tests.cluster.test_processes import ACCEPT, INITIALIZE
from tests.downstream.conftest import text_of
from tests.downstream.methods.test_pending_calls import answer, ask
from tests.downstream.protocol.sessions.test_client_sessions import opened
from tests.downstream.protocol.sessions.test_session_requests import VERSION
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.waiting import until


async def choose(_: Any, params: ElicitRequestParams) -> ElicitResult:
    return ElicitResult(action="accept", content={"colour": "blue"})


def endpoint_of(gateway: RunningGateway) -> McpEndpoint:
    application: Any = cluster_of(gateway).forwarder._application
    endpoint: McpEndpoint = application._app._mcp._app
    return endpoint


async def stop(gateway: RunningGateway) -> McpEndpoint:
    """Have a gateway take nothing new, as one that has been told to end."""
    await cluster_of(gateway).membership.leave()
    endpoint = endpoint_of(gateway)
    await endpoint.stop(0)
    return endpoint


async def test_a_call_that_waits_for_its_client_goes_on_with_the_answer(pair: Pair) -> None:
    await pair.add_talker()
    async with pair.client(pair.first, mode="auto", elicitation_callback=choose) as client:
        asked = await ask(client)
        await stop(pair.first)
        assert "red" in text_of(await answer(client, asked))


async def test_what_another_process_holds_goes_to_that_one(pair: Pair, settings: Settings) -> None:
    await pair.add_talker()
    async with (
        open_components(settings, clustered=True) as parts,
        running_gateway(parts) as third,
        cluster_of(third).running(),
    ):
        gateways = {cluster_of(each).membership.id: each for each in (*pair.both, third)}
        await until(lambda: all(len(cluster_of(each).membership.others) == 2 for each in gateways.values()))
        holder = gateways[cluster_of(pair.first).forwarder.staying_ids[-1]]
        async with (
            pair.client(holder, mode="auto", elicitation_callback=choose) as client,
            pair.client(pair.first, mode="auto", elicitation_callback=choose) as other,
            holder.http.stream("GET", "/sse", headers={"X-API-Key": holder.key}) as response,
        ):
            asked = await ask(client)
            # Without a name it would be closed with the loop, and the stream with it.
            lines = response.aiter_lines()
            async for line in lines:
                if line.startswith("data: "):
                    address = line[6:]
                    break
            await stop(pair.first)
            assert "red" in text_of(await answer(other, asked))
            posted = await pair.first.http.post(address, json=INITIALIZE, headers={"X-API-Key": holder.key})
            assert posted.status_code == 202, posted.text


@pytest.mark.parametrize("stops", [False, True])
async def test_of_who_has_no_key_nothing_is_read_and_nobody_is_looked_for(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, stops: bool
) -> None:
    endpoint = await stop(pair.first) if stops else endpoint_of(pair.first)
    looked_for: list[str] = []
    find = Membership.find

    async def noted(self: Membership, member_id: str) -> Member | None:
        looked_for.append(member_id)
        return await find(self, member_id)

    monkeypatch.setattr(Membership, "find", noted)
    statuses: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> Message:
        raise AssertionError("it was read from")

    host = pair.first.url.removeprefix("http://").encode()
    for held in (b"", id_held_by(new_member_id(), "session").encode()):
        headers = [(b"host", host), (b"content-type", b"application/json"), (b"x-api-key", b"mg_" + 64 * b"0")]
        headers += [(b"mcp-session-id", held)] if held else []
        scope = {"type": "http", "method": "POST", "path": "/mcp", "scheme": "http", "headers": headers, "state": {}}
        await endpoint(scope, receive, send)
    assert (statuses, looked_for) == ([401, 401], [])


async def test_a_stream_that_only_listens_goes_on_and_holds_up_no_stop(pair: Pair) -> None:
    stopping, holder = pair.both
    headers = {**await opened(holder), **VERSION, **ACCEPT, "X-API-Key": holder.key}
    endpoint = await stop(stopping)
    async with stopping.http.stream("GET", "/mcp", headers=headers) as response:
        assert response.status_code == 200
        with anyio.fail_after(10):
            await endpoint.finish_elsewhere(60)
            live = endpoint_of(holder)._sessions.get(headers["Mcp-Session-Id"])
            assert live is not None
            await live.session.send_tool_list_changed()
            async for line in response.aiter_lines():
                if "tools/list_changed" in line:
                    return
    raise AssertionError("the stream has ended")
