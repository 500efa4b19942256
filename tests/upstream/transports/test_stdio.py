"""Sessions over stdio, with servers that behave."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from mcp.shared.exceptions import MCPError

from gateway.errors import UpstreamReplyError, UpstreamTimeoutError
from gateway.json_codec import Message
from gateway.upstream.request import CallHooks, UpstreamRequest
from gateway.upstream.sessions.session import CLIENT_CAPABILITIES, UpstreamSession
from tests.upstream.conftest import Connect, raw, sdk


def told(result: Message) -> Any:
    """What the bare server said in the text of its result."""
    return json.loads(result["content"][0]["text"])


async def _one_is_cancelled(session: UpstreamSession) -> None:
    with anyio.fail_after(5):
        while len(told(await session.request(UpstreamRequest("tools/call", {"name": "cancelled"})))) != 1:
            await checkpoint()


async def test_a_server_of_the_handshake_era_is_initialized(connect: Connect) -> None:
    async with connect(raw()) as session:
        info = session.info
    assert (info.era, info.protocol_version) == ("handshake", "2025-06-18")
    assert info.server_info == {"name": "raw", "version": "1"}
    assert info.instructions == "Be gentle."
    assert info.capabilities["tools"] == {"listChanged": True}


async def test_a_server_of_the_modern_era_is_discovered(connect: Connect) -> None:
    async with connect(raw("modern")) as session:
        info = session.info
    assert (info.era, info.protocol_version) == ("modern", "2026-07-28")
    assert info.server_info["name"] == "raw-modern"


async def test_a_server_made_with_the_sdk_is_called_in_both_eras(connect: Connect) -> None:
    for probe, era in ((True, "modern"), (False, "handshake")):
        async with connect(sdk(), probe=probe) as session:
            assert session.info.era == era
            result = await session.request(
                UpstreamRequest("tools/call", {"name": "add", "arguments": {"a": 20, "b": 22}})
            )
            assert result["structuredContent"] == {"result": 42}


async def test_a_server_that_ignores_the_probe_is_initialized_in_time(connect: Connect) -> None:
    async with connect(raw("mute", connect_timeout=1.0)) as session:
        assert session.info.era == "handshake"


async def test_every_page_of_a_listing_comes_raw_and_in_order(connect: Connect) -> None:
    async with connect(raw()) as session:
        tools = await session.list_all("tools/list", "tools")
    assert [tool["name"] for tool in tools] == ["echo", "broken"]
    assert tools[0]["x-vendor"] == {"kept": True}
    assert tools[1]["inputSchema"] == {"type": "string"}


async def test_a_result_is_returned_with_the_fields_that_no_schema_knows(connect: Connect) -> None:
    async with connect(raw()) as session:
        result = await session.request(
            UpstreamRequest("tools/call", {"name": "echo", "arguments": {"text": "grüße 😀 \ud800"}})
        )
    assert result["x-unknown"] == {"deep": [1, None, 2.5]}
    assert result["_meta"] == {"vendor/key": "kept"}
    assert told(result)["arguments"] == {"text": "grüße 😀 \ud800"}


async def test_meta_of_the_caller_goes_on_without_what_belongs_to_its_own_hop(connect: Connect) -> None:
    meta = {
        "progressToken": "mine",
        "traceparent": "00-1-2-01",
        "io.modelcontextprotocol/protocolVersion": "1999-01-01",
        "io.modelcontextprotocol/clientCapabilities": {"sampling": {}},
    }
    async with connect(raw()) as session:
        handshake = told(await session.request(UpstreamRequest("tools/call", {"name": "echo", "_meta": meta})))["_meta"]
    async with connect(raw("modern")) as session:
        modern = told(await session.request(UpstreamRequest("tools/call", {"name": "echo", "_meta": meta})))["_meta"]
    assert handshake == {"traceparent": "00-1-2-01"}
    assert modern["traceparent"] == "00-1-2-01"
    assert modern["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert modern["io.modelcontextprotocol/clientCapabilities"] == {}
    assert modern["io.modelcontextprotocol/clientInfo"]["name"] == "modelgate"
    assert "progressToken" not in modern


async def test_capabilities_of_one_request_reach_a_modern_server(connect: Connect) -> None:
    async with connect(raw("modern")) as session:
        result = await session.request(
            UpstreamRequest("tools/call", {"name": "echo"}, capabilities={"elicitation": {"form": {}}})
        )
    assert told(result)["_meta"]["io.modelcontextprotocol/clientCapabilities"] == {"elicitation": {"form": {}}}


async def test_progress_is_told_in_order_before_the_result(connect: Connect) -> None:
    heard: list[Any] = []

    async def on_progress(*progress: Any) -> None:
        heard.append(progress)

    async with connect(raw()) as session:
        arguments = {"steps": 3, "pause": 0}
        result = await session.request(
            UpstreamRequest(
                "tools/call", {"name": "progress", "arguments": arguments}, hooks=CallHooks(on_progress=on_progress)
            )
        )
        heard.append(told(result))
    assert heard == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3"), "done"]


async def test_progress_puts_off_the_timeout(connect: Connect) -> None:
    async def on_progress(*progress: Any) -> None:
        pass

    async with connect(raw()) as session:
        call = {"name": "progress", "arguments": {"steps": 5, "pause": 0.25}}
        hooks = CallHooks(on_progress=on_progress)
        assert told(await session.request(UpstreamRequest("tools/call", call, timeout=0.8, hooks=hooks))) == "done"


async def test_a_server_that_does_not_answer_times_out_and_is_told_of_the_cancellation(connect: Connect) -> None:
    async with connect(raw()) as session:
        with pytest.raises(UpstreamTimeoutError, match=r"Raw Server did not answer tools/call within 0\.2 s"):
            await session.request(UpstreamRequest("tools/call", {"name": "hang"}, timeout=0.2))
        await _one_is_cancelled(session)


async def test_a_cancelled_caller_cancels_the_call_upstream(connect: Connect) -> None:
    async with connect(raw()) as session:
        with anyio.move_on_after(0.2):
            await session.request(UpstreamRequest("tools/call", {"name": "hang"}))
        await _one_is_cancelled(session)


async def test_an_error_reply_keeps_code_message_and_data(connect: Connect) -> None:
    async with connect(raw()) as session:
        with pytest.raises(UpstreamReplyError) as caught:
            await session.request(UpstreamRequest("tools/call", {"name": "refuse"}))
    assert (caught.value.code, caught.value.message, caught.value.data) == (-32050, "not today", {"retry": 7})
    assert caught.value.server == "Raw Server"


async def test_an_error_that_names_no_request_is_that_of_the_only_one_unless_its_reply_comes(connect: Connect) -> None:
    spec = raw()
    async with connect(replace(spec, args=(*spec.args, "refuses-notifications"))) as session:
        assert len(await session.list_all("tools/list", "tools")) == 2
    async with connect(replace(spec, args=(*spec.args, "names-no-request"))) as session:
        with pytest.raises(UpstreamReplyError, match="no memory"):
            await session.request(UpstreamRequest("tools/call", {"name": "echo"}))


async def test_input_required_is_returned_raw(connect: Connect) -> None:
    async with connect(raw("modern")) as session:
        result = await session.request(UpstreamRequest("tools/call", {"name": "input_required"}))
    assert result["resultType"] == "input_required"
    assert result["requestState"] == "s"


async def test_a_question_is_answered_by_the_call_it_belongs_to(connect: Connect) -> None:
    asked: list[Any] = []

    async def on_question(method: str, params: Message) -> Message:
        asked.append((method, params))
        return {"action": "accept", "content": {"colour": "red"}}

    async with connect(raw(), capabilities={"elicitation": {}}) as session:
        call = {"name": "ask", "arguments": {"method": "elicitation/create", "params": {"message": "Which?"}}}
        hooks = CallHooks(on_server_request=on_question)
        result = await session.request(UpstreamRequest("tools/call", call, hooks=hooks))
    assert asked == [("elicitation/create", {"message": "Which?"})]
    assert told(result)["result"] == {"action": "accept", "content": {"colour": "red"}}


async def test_a_person_may_take_longer_over_a_question_than_the_timeout(connect: Connect) -> None:
    async def on_question(method: str, params: Message) -> Message:
        await anyio.sleep(0.6)
        return {"action": "decline"}

    async with connect(raw()) as session:
        call = {"name": "ask", "arguments": {"method": "elicitation/create"}}
        result = await session.request(
            UpstreamRequest("tools/call", call, timeout=0.3, hooks=CallHooks(on_server_request=on_question))
        )
    assert told(result)["result"] == {"action": "decline"}


async def test_a_question_nobody_answers_is_refused_at_once(connect: Connect) -> None:
    async with connect(raw()) as session:
        for method in ("elicitation/create", "sampling/createMessage", "roots/list"):
            call = {"name": "ask", "arguments": {"method": method}}
            answer = told(await session.request(UpstreamRequest("tools/call", call)))
            assert answer["error"]["code"] == -32601
            assert method in answer["error"]["message"]


async def test_a_refusal_keeps_its_code(connect: Connect) -> None:
    async def on_question(method: str, params: Message) -> Message:
        raise MCPError(-32042, "ask elsewhere", {"url": "x"})

    async with connect(raw()) as session:
        call = {"name": "ask", "arguments": {"method": "elicitation/create"}}
        hooks = CallHooks(on_server_request=on_question)
        answer = told(await session.request(UpstreamRequest("tools/call", call, hooks=hooks)))
    assert answer["error"] == {"code": -32042, "message": "ask elsewhere", "data": {"url": "x"}}


async def test_capabilities_are_offered_only_where_somebody_answers(connect: Connect) -> None:
    async with connect(raw()) as session:
        assert session.info.capabilities["experimental"]["client"] == {}
    async with connect(raw(), capabilities=CLIENT_CAPABILITIES) as session:
        offered = session.info.capabilities["experimental"]["client"]
    assert offered == {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}


async def test_a_ping_of_the_server_is_answered(connect: Connect) -> None:
    async with connect(raw()) as session:
        answer = told(
            await session.request(UpstreamRequest("tools/call", {"name": "ask", "arguments": {"method": "ping"}}))
        )
    assert answer["result"] == {}


@pytest.mark.parametrize("mode", ["handshake", "modern"])
async def test_a_changed_list_is_heard_in_both_eras(connect: Connect, mode: str) -> None:
    heard = anyio.Event()

    def on_notification(method: str, params: Message) -> None:
        if method == "notifications/tools/list_changed":
            heard.set()

    async with connect(raw(mode), on_notification=on_notification) as session:
        with anyio.fail_after(5):
            while not heard.is_set():
                await session.request(UpstreamRequest("tools/call", {"name": "change"}))
                await checkpoint()


async def test_a_log_message_during_a_call_goes_to_that_call(connect: Connect) -> None:
    heard: list[Any] = []

    async def on_notification(method: str, params: Message) -> None:
        heard.append((method, params["data"]))

    async with connect(raw()) as session:
        await session.request(
            UpstreamRequest("tools/call", {"name": "log"}, hooks=CallHooks(on_notification=on_notification))
        )
    assert heard == [("notifications/message", "hello")]


async def test_calls_from_many_tasks_get_their_own_results(connect: Connect) -> None:
    results: dict[int, Any] = {}

    async def one(number: int) -> None:
        call = {"name": "echo", "arguments": {"number": number}}
        results[number] = told(await session.request(UpstreamRequest("tools/call", call)))["arguments"]["number"]

    async with connect(raw()) as session, anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(one, number)
    assert results == {number: number for number in range(100)}


async def test_only_the_usual_environment_and_the_spec_reach_a_child(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_SECRET", "hidden")
    async with connect(raw(env={"TOKEN": "given"})) as session:
        environment = told(await session.request(UpstreamRequest("tools/call", {"name": "environment"})))
    assert environment["TOKEN"] == "given"
    assert "GATEWAY_SECRET" not in environment
    assert "PATH" in environment


async def test_a_round_trip_is_measured(connect: Connect) -> None:
    for mode in ("handshake", "modern"):
        async with connect(raw(mode)) as session:
            assert 0 < await session.ping(timeout=5) < 5000
