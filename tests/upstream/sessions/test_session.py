"""Requests that cannot be sent and answers that cannot be read: the trouble of one call, and of no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from gateway.errors import UpstreamError, UpstreamProtocolError, UpstreamReplyError
from gateway.json_codec import Message
from gateway.upstream.request import CallHooks, UpstreamRequest
from gateway.upstream.spec import ServerSpec
from tests.upstream.conftest import Connect, raw, serving, web
from tests.upstream.processes import until
from tests.upstream.servers.odd import Odd
from tests.upstream.servers.sdk import build


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.fixture(params=["stdio", "http", "sse"])
async def spec(request: pytest.FixtureRequest) -> AsyncIterator[ServerSpec]:
    async with AsyncExitStack() as stack:
        if request.param == "stdio":
            yield raw()
        elif request.param == "http":
            yield web(f"{await stack.enter_async_context(serving(Odd().app))}/handshake")
        else:
            root = await stack.enter_async_context(serving(build().sse_app()))
            yield web(f"{root}/sse", transport="sse")


async def test_arguments_that_are_nested_too_deeply_are_refused_to_their_caller_alone(
    connect: Connect, spec: ServerSpec
) -> None:
    async with connect(spec) as session:
        with pytest.raises(UpstreamReplyError, match="nested too deeply") as caught:
            await session.request(UpstreamRequest("tools/call", {"name": "echo", "arguments": deep(50_000)}))
        assert caught.value.code == -32602
        assert await session.request(UpstreamRequest("tools/call", {"name": "echo", "arguments": {}}))


async def test_an_answer_of_a_person_that_cannot_be_sent_is_an_error_for_the_server(connect: Connect) -> None:
    async def on_question(method: str, params: Message) -> Message:
        return {"action": "accept", "content": deep(50_000)}

    async with connect(raw(), capabilities={"elicitation": {}}) as session:
        call = {"name": "ask", "arguments": {"method": "elicitation/create"}}
        with anyio.fail_after(5):
            result = await session.request(
                UpstreamRequest("tools/call", call, hooks=CallHooks(on_server_request=on_question))
            )
    assert "could not answer elicitation/create" in result["content"][0]["text"]


async def test_an_event_stream_in_a_charset_that_is_none_is_an_error_of_that_call_alone(connect: Connect) -> None:
    odd = Odd()
    answers: list[Message] = []

    async def other() -> None:
        answers.append(await session.request(UpstreamRequest("tools/call", {"name": "wait"})))

    async with (
        serving(odd.app) as root,
        connect(web(f"{root}/charset")) as session,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(other)
        await odd.waited_for.wait()
        with anyio.fail_after(5), pytest.raises(UpstreamProtocolError, match="Web Server"):
            await session.request(UpstreamRequest("tools/call", {"name": "odd"}))
        odd.may_answer.set()
        await until(lambda: len(answers) == 1)
    assert answers[0]["content"] == []


async def test_a_stream_of_a_server_over_sse_that_cannot_be_read_ends_its_session_with_a_reason(
    connect: Connect,
) -> None:
    odd = Odd()
    async with serving(odd.app) as root:
        with anyio.fail_after(5), pytest.raises(UpstreamError, match="Web Server"):
            async with connect(web(f"{root}/charset", transport="sse")):
                pass
