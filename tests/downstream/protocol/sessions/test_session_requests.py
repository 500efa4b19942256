"""Requests in handshake sessions: plain JSON where the answer comes first and soon, else a stream to go on from."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import anyio
import httpx2
import pytest
from mcp.types import ElicitResult

from gateway.access.caller import Limits
from gateway.access.roles import create_role
from gateway.settings import Settings
from tests.downstream.conftest import HANDSHAKE, AddTalker, Connect, text_of
from tests.downstream.protocol.sessions.test_client_sessions import PING, opened, status
from tests.support.gateway import RunningGateway
from tests.support.metrics import metric
from tests.support.waiting import until

VERSION = {"Mcp-Protocol-Version": "2025-11-25"}


def call(tool: str, arguments: Any = None, request_id: Any = 7, **meta: Any) -> dict[str, Any]:
    params = {"name": f"talker__{tool}", "arguments": arguments or {}, **({"_meta": meta} if meta else {})}
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}


def events(response: httpx2.Response) -> list[Any]:
    """The messages of a stream, in their order."""
    assert response.headers["content-type"].startswith("text/event-stream")
    data = [line.removeprefix("data:").strip() for line in response.text.splitlines() if line.startswith("data:")]
    return [json.loads(each) for each in data if each]


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("request_id", [7, "seven"])
async def test_an_answer_that_comes_first_and_soon_is_plain_json(
    gateway: RunningGateway, add_talker: AddTalker, request_id: Any
) -> None:
    await add_talker()
    headers = await opened(gateway) | VERSION
    for message in (PING, {**PING, "method": "tools/list"}, call("echo", {"text": "at once"}), call("refuse")):
        response = await gateway.post({**message, "id": request_id}, **headers)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["mcp-session-id"] == headers["Mcp-Session-Id"]
        assert response.json()["id"] == request_id
    assert response.json()["error"] == {"code": -31999, "message": "not today", "data": {"retry": [7]}}


async def test_an_answer_that_takes_long_comes_on_a_stream_with_ids(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    await add_talker()
    headers = await opened(gateway) | VERSION
    response = await gateway.post(call("echo", {"text": "slow", "seconds": 0.4}), **headers)
    (answer,) = events(response)
    assert "slow" in json.dumps(answer["result"])
    assert [line for line in response.text.splitlines() if line.startswith("id:")]


async def test_what_is_said_before_the_result_comes_before_it(gateway: RunningGateway, add_talker: AddTalker) -> None:
    await add_talker()
    headers = await opened(gateway) | VERSION
    *steps, answer = events(await gateway.post(call("progress", progressToken="p"), **headers))
    assert [step["params"]["progress"] for step in steps] == [1, 2, 3]
    assert answer["result"]["content"][0]["text"] == "done"
    said = events(await gateway.post(call("log"), **headers))
    assert [each.get("method", "answer") for each in said] == [*["notifications/message"] * 2, "answer"]


@pytest.mark.usefixtures("unhurried")
async def test_what_the_client_does_not_want_to_hear_begins_no_stream(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    await add_talker()
    headers = await opened(gateway) | VERSION
    wish = {"jsonrpc": "2.0", "id": 3, "method": "logging/setLevel", "params": {"level": "emergency"}}
    await gateway.post(wish, **headers)
    for message in (call("log"), call("progress")):
        response = await gateway.post(message, **headers)
        assert response.headers["content-type"] == "application/json"
        assert response.json()["result"]["content"][0]["text"] == "done"


async def test_a_client_that_is_asked_at_once_answers_on_the_stream(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect
) -> None:
    await add_talker(era="handshake")

    async def answer(*_: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"colour": "green"})

    async with connect(HANDSHAKE, elicitation_callback=answer) as client:
        assert "green" in text_of(await client.call_tool("talker__ask", {}))


@pytest.mark.parametrize("wait_seconds", [0.0, 0.3])
async def test_a_call_that_is_cancelled_is_answered_so_and_its_server_hears_of_it(
    gateway: RunningGateway, add_talker: AddTalker, wait_seconds: float
) -> None:
    talker = await add_talker()
    headers = await opened(gateway) | VERSION
    responses: list[httpx2.Response] = []

    async def hang() -> None:
        responses.append(await gateway.post(call("hang"), **headers))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hang)
            await talker.wait_for_log("hanging ")
            await anyio.sleep(wait_seconds)
            cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
            assert (await gateway.post(cancel, **headers)).status_code == 202
    await talker.wait_for_log("cancelled ")
    assert "-32800" in responses[0].text
    assert await status(gateway, headers) == 200


@pytest.mark.parametrize("wait_seconds", [0.0, 0.3])
async def test_the_end_of_a_session_ends_its_calls(
    gateway: RunningGateway, add_talker: AddTalker, wait_seconds: float
) -> None:
    talker = await add_talker()
    headers = await opened(gateway) | VERSION
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: gateway.post(call("hang"), **headers))
            await talker.wait_for_log("hanging ")
            await anyio.sleep(wait_seconds)
            assert (await gateway.http.delete("/mcp", headers=headers)).is_success
    await talker.wait_for_log("cancelled ")


@pytest.mark.usefixtures("unhurried")
async def test_a_key_that_gets_other_roles_has_them_in_the_next_request(
    gateway: RunningGateway, add_talker: AddTalker, tenant_id: int
) -> None:
    await add_talker()
    await create_role(gateway.parts.database, tenant_id, "nothing", "DENY")
    new = await gateway.parts.keys.create(tenant_id, "changing", ["all"])
    headers = await opened(gateway, new.key) | VERSION
    assert "isError" not in (await gateway.post(call("echo"), **headers)).json()["result"]
    await gateway.parts.keys.update(
        tenant_id, new.id, name="changing", roles=["nothing"], expires_at=None, note="", limits=Limits()
    )
    assert "There is no tool" in (await gateway.post(call("echo"), **headers)).json()["error"]["message"]


class TestShort:
    """With sessions that end after three seconds without requests."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, server=replace(settings.server, session_idle_seconds=3.0))

    async def test_requests_keep_a_session(self, gateway: RunningGateway) -> None:
        headers = await opened(gateway) | VERSION
        for _ in range(4):
            await anyio.sleep(1.0)
            assert await status(gateway, headers) == 200

        async def is_over() -> bool:
            return await metric(gateway, "modelgate_sessions") == 0

        await until(is_over)
        assert await status(gateway, headers) == 404
