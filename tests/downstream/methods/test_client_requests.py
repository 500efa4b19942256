"""What upstream servers ask in the middle of a call, across the protocol eras."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import anyio
import mcp_types
import pytest
from mcp.shared.exceptions import MCPError
from pydantic import FileUrl

from gateway.catalog.servers.tuning import Tuning
from gateway.settings import Settings
from tests.downstream.conftest import HANDSHAKE, MODERN, AddTalker, Connect, Era, text_of
from tests.support.gateway import RunningGateway

BOTH = pytest.mark.parametrize("era", ["handshake", "modern"])
CLIENTS = pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])


async def choose(context: Any, params: Any) -> mcp_types.ElicitResult:
    assert params.message == "Which colour?"
    return mcp_types.ElicitResult(action="accept", content={"colour": "blue"})


@BOTH
@CLIENTS
async def test_a_form_is_filled_in_by_the_caller(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str, era: Era
) -> None:
    await add_talker(era=era)
    async with connect(mode, elicitation_callback=choose) as client:
        with anyio.fail_after(10):
            result = await client.call_tool("talker__ask", {})
    assert "blue" in text_of(result)


@BOTH
@CLIENTS
async def test_several_questions_are_asked_one_after_the_other(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str, era: Era
) -> None:
    await add_talker(era=era)
    asked: list[str] = []

    async def count(context: Any, params: Any) -> mcp_types.ElicitResult:
        asked.append(params.message)
        return await choose(context, params)

    async with connect(mode, elicitation_callback=count) as client:
        with anyio.fail_after(10):
            await client.call_tool("talker__twice", {})
    assert len(asked) == 2


@BOTH
@CLIENTS
async def test_roots_are_told_by_the_caller(
    gateway: RunningGateway, add_talker: AddTalker, tenant_id: int, connect: Connect, mode: str, era: Era
) -> None:
    talker = await add_talker(era=era)
    await gateway.parts.servers.set_tuning(tenant_id, talker.id, Tuning(session="per_client"))

    async def roots(context: Any) -> mcp_types.ListRootsResult:
        return mcp_types.ListRootsResult(roots=[mcp_types.Root(uri=FileUrl("file:///home"), name="home")])

    async with connect(mode, list_roots_callback=roots) as client:
        with anyio.fail_after(10):
            result = await client.call_tool("talker__ask", {"method": "roots/list", "params": {"_meta": {}}})
    assert "file:///home" in text_of(result)


@CLIENTS
async def test_roots_of_one_client_do_not_reach_a_server_whose_session_all_share(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str
) -> None:
    await add_talker(era="handshake")

    async def roots(context: Any) -> mcp_types.ListRootsResult:
        return mcp_types.ListRootsResult(roots=[mcp_types.Root(uri=FileUrl("file:///home"), name="home")])

    async with connect(mode, list_roots_callback=roots) as client:
        with anyio.fail_after(10):
            result = await client.call_tool("talker__ask", {"method": "roots/list", "params": {"_meta": {}}})
    assert "file:///home" not in text_of(result)
    assert "per_client" in text_of(result)


@BOTH
@CLIENTS
async def test_a_caller_that_takes_no_questions_is_not_asked_and_nothing_hangs(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str, era: Era
) -> None:
    await add_talker(era=era)
    async with connect(mode) as client:
        with anyio.fail_after(10):
            if era == "handshake":
                result = await client.call_tool("talker__ask", {})
                assert "cannot be asked" in text_of(result)
            elif mode == HANDSHAKE:
                with pytest.raises(MCPError, match="cannot be asked"):
                    await client.call_tool("talker__ask", {})
            else:
                # What a server of the caller's own era asks is passed on as it is, whatever the caller makes of it.
                answer = await client.session.call_tool("talker__ask", {}, allow_input_required=True)
                assert answer.result_type == "input_required"


@BOTH
async def test_a_plain_post_cannot_be_asked_and_nothing_hangs(
    gateway: RunningGateway, add_talker: AddTalker, era: Era
) -> None:
    await add_talker(era=era)
    with anyio.fail_after(10):
        answer = await gateway.request("tools/call", {"name": "talker__ask"})
    assert "cannot be asked" in json.dumps(answer)


@BOTH
@CLIENTS
async def test_a_refusal_of_the_person_reaches_the_server(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str, era: Era
) -> None:
    await add_talker(era=era)

    async def decline(context: Any, params: Any) -> mcp_types.ElicitResult:
        return mcp_types.ElicitResult(action="decline")

    async with connect(mode, elicitation_callback=decline) as client:
        with anyio.fail_after(10):
            result = await client.call_tool("talker__ask", {})
    assert "decline" in text_of(result)


class TestShortTimeout:
    """With a gateway that gives clients one second to answer."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, mcp=replace(settings.mcp, question_seconds=1.0))

    async def test_a_client_that_never_answers_does_not_keep_the_call(
        self, gateway: RunningGateway, add_talker: AddTalker, connect: Connect
    ) -> None:
        await add_talker(era="handshake")

        async def never(context: Any, params: Any) -> mcp_types.ElicitResult:
            await anyio.sleep_forever()
            raise AssertionError

        async with connect(HANDSHAKE, elicitation_callback=never) as client:
            with anyio.fail_after(10):
                result = await client.call_tool("talker__ask", {})
            assert "did not answer" in text_of(result)

    async def test_a_call_that_nobody_comes_back_to_is_ended(
        self, gateway: RunningGateway, add_talker: AddTalker, connect: Connect
    ) -> None:
        talker = await add_talker(era="handshake")
        async with connect(MODERN, elicitation_callback=choose) as client:
            asked: Any = await client.session.call_tool("talker__ask", {}, allow_input_required=True)
            assert asked.result_type == "input_required"
            await talker.wait_for_log("cancelled ")
            with pytest.raises(MCPError, match="requestState"):
                await client.session.call_tool(
                    "talker__ask", {}, request_state=asked.request_state, allow_input_required=True
                )


async def test_a_pending_call_answers_only_the_key_that_made_it(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, listing_key: str
) -> None:
    await add_talker(era="handshake")
    async with connect(MODERN, elicitation_callback=choose) as client:
        asked: Any = await client.session.call_tool("talker__ask", {}, allow_input_required=True)
    answers: Any = {"question-1": mcp_types.ElicitResult(action="accept", content={"colour": "red"})}
    async with connect(MODERN, listing_key, elicitation_callback=choose) as thief:
        with pytest.raises(MCPError, match="requestState"):
            await thief.session.call_tool(
                "talker__ask",
                {},
                input_responses=answers,
                request_state=asked.request_state,
                allow_input_required=True,
            )
    async with connect(MODERN, elicitation_callback=choose) as client:
        result = await client.session.call_tool(
            "talker__ask", {}, input_responses=answers, request_state=asked.request_state, allow_input_required=True
        )
        assert "red" in text_of(result)


async def test_clients_with_sessions_of_their_own_are_asked_what_concerns_them(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, tenant_id: int
) -> None:
    talker = await add_talker(era="handshake")
    await gateway.parts.servers.set_tuning(tenant_id, talker.id, Tuning(session="per_client"))
    told: dict[str, str] = {}

    async def call(colour: str) -> None:
        async def answer(context: Any, params: Any) -> mcp_types.ElicitResult:
            return mcp_types.ElicitResult(action="accept", content={"colour": colour})

        async with connect(HANDSHAKE, elicitation_callback=answer) as client:
            told[colour] = text_of(await client.call_tool("talker__ask", {}))

    with anyio.fail_after(15):
        async with anyio.create_task_group() as tasks:
            for colour in ("red", "green", "blue"):
                tasks.start_soon(call, colour)
    assert all(colour in text for colour, text in told.items())


async def test_where_nobody_knows_whose_call_asks_the_refusal_says_what_to_do(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect
) -> None:
    talker = await add_talker("My Talker", era="handshake")
    async with (
        connect(HANDSHAKE, elicitation_callback=choose) as client,
        connect(HANDSHAKE, elicitation_callback=choose) as other,
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other.call_tool, "my_talker__hang", {})
            await talker.wait_for_log("hanging ")
            with anyio.fail_after(10):
                said = text_of(await client.call_tool("my_talker__ask", {}))
            assert "Server My Talker asked elicitation/create while calls of more than one client" in said
            assert "modelgate servers set 'My Talker' --session per_client" in said
            tasks.cancel_scope.cancel()
        # A client that closes while an answer comes in falls over it.
        await talker.wait_for_log("cancelled ")
        await other.call_tool("my_talker__echo", {})


async def test_what_a_server_asks_about_a_call_that_was_given_up_is_not_put_to_the_next_caller(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect
) -> None:
    talker = await add_talker(era="handshake")
    async with (
        connect(HANDSHAKE, elicitation_callback=choose) as client,
        connect(HANDSHAKE, elicitation_callback=choose) as other,
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "talker__hang", {})
            await talker.wait_for_log("hanging ")
            tasks.cancel_scope.cancel()
        await talker.wait_for_log("cancelled ")
        with anyio.fail_after(10):
            assert "--session per_client" in text_of(await other.call_tool("talker__ask", {}))
            # Whoever gave it up is asked either way.
            assert "blue" in text_of(await client.call_tool("talker__ask", {}))
