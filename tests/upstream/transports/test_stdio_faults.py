"""Sessions over stdio, with servers that misbehave."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import anyio
import pytest

from gateway.errors import RequestNotSentError, UpstreamProtocolError, UpstreamTimeoutError, UpstreamUnavailableError
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.sessions.session import UpstreamSession
from tests.upstream.conftest import Connect, raw
from tests.upstream.processes import gone, memory, until

MEBIBYTE = 2**20


async def test_a_missing_command_is_named(connect: Connect) -> None:
    with pytest.raises(UpstreamUnavailableError, match="Raw Server cannot be started: there is no command 'no-such-"):
        async with connect(raw(command="no-such-command")):
            pass


async def test_a_missing_directory_is_named(connect: Connect) -> None:
    with pytest.raises(UpstreamUnavailableError, match="its directory /no/such does not exist"):
        async with connect(raw(cwd="/no/such")):
            pass


async def test_a_server_that_exits_at_once_says_with_what_code(connect: Connect) -> None:
    with pytest.raises(UpstreamUnavailableError, match="Raw Server exited with code 7"):
        async with connect(raw("exit")):
            pass


async def test_a_silent_server_times_out(connect: Connect) -> None:
    with pytest.raises(UpstreamTimeoutError, match=r"did not answer within 0\.5 s of its start"):
        async with connect(raw("silent", start_timeout=0.5)):
            pass


async def test_a_server_that_prints_something_else_is_quoted(connect: Connect) -> None:
    with pytest.raises(UpstreamProtocolError, match="'Server is up and running!'"):
        async with connect(raw("noise", start_timeout=3.0)):
            pass


async def test_a_server_that_babbles_is_given_up_before_the_timeout(connect: Connect) -> None:
    with anyio.fail_after(10), pytest.raises(UpstreamProtocolError, match="not MCP"):
        async with connect(raw("babble", connect_timeout=30)):
            pass


async def test_a_line_of_chatter_between_messages_does_no_harm(connect: Connect) -> None:
    async with connect(raw()) as session:
        result = await session.request(UpstreamRequest("tools/call", {"name": "chatter"}))
    assert result["isError"] is False


async def test_a_server_killed_in_the_middle_of_a_call_is_reported_at_once(connect: Connect) -> None:
    async with connect(raw()) as session, anyio.create_task_group() as tasks:
        pids = await _pids(session)

        async def kill() -> None:
            os.kill(pids[0], signal.SIGKILL)

        tasks.start_soon(kill)
        with anyio.fail_after(10), pytest.raises(UpstreamUnavailableError, match="Raw Server was ended by signal 9"):
            await session.request(UpstreamRequest("tools/call", {"name": "hang"}))
        with pytest.raises(RequestNotSentError):
            await session.request(UpstreamRequest("tools/call", {"name": "echo"}))
    await gone(*pids)


async def test_a_server_that_dies_of_a_call_fails_every_call_in_flight(connect: Connect) -> None:
    failures: list[Exception] = []

    async def hang() -> None:
        with pytest.raises(UpstreamUnavailableError) as caught:
            await session.request(UpstreamRequest("tools/call", {"name": "hang"}))
        failures.append(caught.value)

    async with connect(raw()) as session, anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(hang)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(UpstreamUnavailableError, match="exited with code 3"):
            await session.request(UpstreamRequest("tools/call", {"name": "die"}))
    assert len(failures) == 5


async def test_a_reply_that_is_not_utf8_is_an_error_of_that_call_alone(connect: Connect) -> None:
    async with connect(raw()) as session:
        with anyio.fail_after(5), pytest.raises(UpstreamProtocolError, match="not MCP"):
            await session.request(UpstreamRequest("tools/call", {"name": "invalid_utf8"}))
        assert await session.request(UpstreamRequest("tools/call", {"name": "echo"}))


async def test_a_result_that_is_not_an_object_is_an_error_of_that_call_alone(connect: Connect) -> None:
    async with connect(raw()) as session:
        with pytest.raises(UpstreamProtocolError):
            await session.request(UpstreamRequest("tools/call", {"name": "not_an_object"}))
        assert await session.request(UpstreamRequest("tools/call", {"name": "echo"}))


@pytest.mark.parametrize("mode", ["endless", "circle"])
async def test_pages_that_repeat_themselves_end(connect: Connect, mode: str) -> None:
    async with connect(raw(mode)) as session:
        assert [tool["name"] for tool in await session.list_all("tools/list", "tools")] == ["echo", "broken"]
        assert "repeat themselves" in session.listing_notes["tools/list"]


async def test_a_malformed_listing_is_an_error_and_not_an_empty_list(connect: Connect) -> None:
    async with connect(raw()) as session:
        with pytest.raises(UpstreamProtocolError, match="without a list of resources"):
            await session.list_all("resources/list", "resources")


async def test_a_large_result_arrives_whole(connect: Connect) -> None:
    async with connect(raw()) as session:
        result = await session.request(
            UpstreamRequest("tools/call", {"name": "big", "arguments": {"bytes": 5 * MEBIBYTE}})
        )
    assert len(json.loads(result["content"][0]["text"])) == 5 * MEBIBYTE


async def test_output_without_end_closes_the_session_in_flat_memory(connect: Connect) -> None:
    async with connect(raw(), max_message_bytes=4 * MEBIBYTE) as session:
        before = memory()
        with pytest.raises(UpstreamProtocolError, match="a message of over 4,194,304 bytes"):
            await session.request(UpstreamRequest("tools/call", {"name": "huge", "arguments": {"mebibytes": 100}}))
        assert memory() - before < 32 * MEBIBYTE


async def test_a_flood_of_notifications_does_not_fill_memory(connect: Connect) -> None:
    heard = 0

    def on_notification(method: str, params: Any) -> None:
        nonlocal heard
        heard += 1

    async with connect(raw(), on_notification=on_notification) as session:
        before = memory()
        await session.request(UpstreamRequest("tools/call", {"name": "flood", "arguments": {"thousands": 200}}))
        assert memory() - before < 32 * MEBIBYTE
    assert heard == 200_000


async def test_the_end_of_the_standard_error_output_is_kept(connect: Connect) -> None:
    async with connect(raw()) as session:
        await session.request(UpstreamRequest("tools/call", {"name": "grumble", "arguments": {"bytes": 300_000}}))
        await until(lambda: session.stderr.endswith("THE END\n"))
        assert len(session.stderr) == 64 * 1024


async def test_the_whole_process_group_ends_with_the_session(connect: Connect) -> None:
    async with connect(raw()) as session:
        pids = await _pids(session)
    await gone(*pids)


async def test_children_do_not_outlive_a_gateway_that_is_killed() -> None:
    program = (
        "import anyio\n"
        "from gateway.settings import UpstreamSettings\n"
        "from gateway.upstream.pool import UpstreamPool\n"
        "from gateway.upstream.request import UpstreamRequest\n"
        "from tests.upstream.conftest import raw\n"
        "async def main():\n"
        "    async with UpstreamPool(UpstreamSettings()) as pool:\n"
        "        result = await pool.request(raw(), UpstreamRequest('tools/call', {'name': 'pids'}))\n"
        "        print(result['content'][0]['text'], flush=True)\n"
        "        await pool.request(raw(), UpstreamRequest('tools/call', {'name': 'hang'}))\n"
        "anyio.run(main)\n"
    )
    async with await anyio.open_process([sys.executable, "-c", program], stderr=None) as gateway:
        assert gateway.stdout is not None
        pids = json.loads(await gateway.stdout.receive())
        gateway.kill()
        await gone(*pids)


async def _pids(session: UpstreamSession) -> list[int]:
    """The server's process, and one that it has started."""
    result = await session.request(UpstreamRequest("tools/call", {"name": "pids"}))
    pids: list[int] = json.loads(result["content"][0]["text"])
    return pids
