"""What servers ask on a session that several callers share: whom they ask, and how much at once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from gateway.errors import UpstreamTimeoutError
from gateway.json_codec import Message
from gateway.upstream.request import CallHooks, UpstreamRequest
from gateway.upstream.sessions.session import UpstreamSession
from tests.upstream.conftest import Connect, raw

METHOD = "elicitation/create"
ASK = {"name": "ask", "arguments": {"method": METHOD}}
HANG = {"name": "hang"}
OFFERED: Message = {"elicitation": {"form": {}}}


Caller = tuple[str | None, CallHooks]
"""The session key of a caller, and the hooks of its requests."""


def caller(session_key: str | None, name: str | None = None) -> Caller:
    """A caller who answers with a name."""

    async def answer(method: str, params: Message) -> Message:
        return {"action": "accept", "content": {"name": name or session_key}}

    return session_key, CallHooks(on_server_request=answer)


def silent_caller(session_key: str | None) -> Caller:
    """A caller who answers nothing."""
    return session_key, CallHooks()


@pytest.fixture
async def session(connect: Connect) -> AsyncIterator[UpstreamSession]:
    # It never answers what it does not know, as prompts/list.
    async with connect(raw("mute"), probe=False, capabilities=OFFERED) as opened:
        yield opened


@asynccontextmanager
async def under_way(session: UpstreamSession, method: str, params: Message | None, caller: Caller) -> Any:
    """While the request is in flight."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            lambda: session.request(UpstreamRequest(method, params, session_key=caller[0], hooks=caller[1]))
        )
        await anyio.wait_all_tasks_blocked()
        yield
        tasks.cancel_scope.cancel()


async def asked(session: UpstreamSession, caller: Caller) -> Any:
    """The answer that a server has on its question in a call of `caller`."""
    with anyio.fail_after(5):
        result = await session.request(UpstreamRequest("tools/call", ASK, session_key=caller[0], hooks=caller[1]))
    return json.loads(result["content"][0]["text"])


@pytest.mark.parametrize("method", ["prompts/list", "resources/subscribe"])
async def test_what_the_gateway_asks_for_itself_keeps_no_question_from_the_only_caller(
    session: UpstreamSession, method: str
) -> None:
    async with under_way(session, method, None, silent_caller(None)):
        answer = await asked(session, caller("a"))
    assert answer["result"]["content"] == {"name": "a"}


async def test_what_the_gateway_gave_up_for_itself_keeps_no_question_from_the_only_caller(
    session: UpstreamSession,
) -> None:
    with pytest.raises(UpstreamTimeoutError):
        await session.request(UpstreamRequest("prompts/list", timeout=0.1))
    assert (await asked(session, caller("a")))["result"]["content"] == {"name": "a"}


async def test_a_caller_with_several_calls_is_asked_in_the_latest(session: UpstreamSession) -> None:
    async with (
        under_way(session, "tools/call", HANG, caller("a", "the first")),
        under_way(session, "resources/subscribe", {"uri": "note://a"}, silent_caller("a")),
    ):
        answer = await asked(session, caller("a", "the latest"))
    assert answer["result"]["content"] == {"name": "the latest"}


@pytest.mark.parametrize(
    "other", [caller("b"), caller(None), silent_caller(None)], ids=["another", "nobody's", "an admin's"]
)
async def test_no_caller_is_asked_what_may_be_of_the_call_of_another(session: UpstreamSession, other: Caller) -> None:
    async with under_way(session, "tools/call", HANG, other):
        answer = await asked(session, caller("a"))
    assert answer["error"]["code"] == -32601
    assert "calls of more than one client" in answer["error"]["message"]


async def test_no_caller_is_asked_what_may_be_of_a_call_that_another_gave_up(session: UpstreamSession) -> None:
    key, hooks = caller("b")
    with pytest.raises(UpstreamTimeoutError):
        await session.request(UpstreamRequest("tools/call", HANG, session_key=key, timeout=0.1, hooks=hooks))
    assert "error" in await asked(session, caller("a"))


async def test_a_question_of_a_call_that_has_ended_is_refused(connect: Connect) -> None:
    begun = anyio.Event()

    async def on_question(method: str, params: Message) -> Message:
        begun.set()
        await anyio.sleep_forever()
        return {}

    # While it waits for an answer, this server lets every request pass.
    async with connect(raw(), capabilities=OFFERED) as session, anyio.create_task_group() as tasks:
        tasks.start_soon(
            lambda: session.request(UpstreamRequest("tools/call", ASK, hooks=CallHooks(on_server_request=on_question)))
        )
        await begun.wait()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True), anyio.fail_after(5):
            while True:
                try:
                    await session.request(UpstreamRequest("tools/call", {"name": "echo"}, timeout=0.2))
                    break
                except UpstreamTimeoutError:
                    continue


async def test_what_is_asked_beyond_the_limit_is_refused_at_once(connect: Connect) -> None:
    async def on_question(method: str, params: Message) -> Message:
        await anyio.sleep_forever()
        return {}

    arguments = {"method": METHOD, "times": 200, "answers": 200 - 64}
    call = {"name": "ask_much", "arguments": arguments}
    async with connect(raw(), capabilities=OFFERED) as session:
        with anyio.fail_after(5):
            result = await session.request(
                UpstreamRequest("tools/call", call, hooks=CallHooks(on_server_request=on_question))
            )
    answers = json.loads(result["content"][0]["text"])
    assert [answer["id"] for answer in answers] == [f"question-{number}" for number in range(64, 200)]
    assert {answer["error"]["code"] for answer in answers} == {-32603}
    assert "64 questions" in answers[0]["error"]["message"]
