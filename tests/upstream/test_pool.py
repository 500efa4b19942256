"""The pool: sessions on demand, limits, and servers that come and go."""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import Any

import anyio
import pytest

from gateway.errors import (
    UpstreamBusyError,
    UpstreamReplyError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gateway.json_codec import Message
from gateway.settings import UpstreamSettings
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import CallHooks, UpstreamRequest
from gateway.upstream.spec import ServerSpec
from tests.support.serving import spare_port
from tests.upstream.conftest import raw, serving, web
from tests.upstream.processes import alive, gone, until
from tests.upstream.servers.odd import Odd


async def call(pool: UpstreamPool, spec: ServerSpec, name: str, **options: Any) -> Any:
    """What the bare server says to the call of tool `name`."""
    arguments = options.pop("arguments", {})
    result = await pool.request(spec, UpstreamRequest("tools/call", {"name": name, "arguments": arguments}, **options))
    return json.loads(result["content"][0]["text"])


async def test_one_session_serves_all_callers(pool: UpstreamPool) -> None:
    pids: set[int] = set()

    async def one() -> None:
        pids.add((await call(pool, raw(), "pids"))[0])

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(one)
    assert len(pids) == 1
    assert pool.status(1).state == "connected"
    assert pool.status(1).restarts == 0


async def test_a_listing_comes_with_what_the_server_says_of_itself(pool: UpstreamPool) -> None:
    spec = raw()
    assert pool.session_info(spec) is None
    assert len(await pool.list_all(spec, "tools/list", "tools")) == 2
    info = pool.session_info(spec)
    assert info is not None
    assert info.server_info["name"] == "raw"


async def test_an_unused_server_is_idle(pool: UpstreamPool) -> None:
    status = pool.status(99)
    assert (status.state, status.last_seen, status.last_error) == ("idle", None, None)


async def test_the_call_after_a_killed_server_works(pool: UpstreamPool) -> None:
    pids = await call(pool, raw(), "pids")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_kill_in_a_call, pool, pids[0])
        with anyio.fail_after(10), pytest.raises(UpstreamUnavailableError, match="Raw Server"):
            await call(pool, raw(), "hang")
    assert pool.status(1).state == "failing"
    assert await call(pool, raw(), "log") == "done"
    status = pool.status(1)
    assert (status.state, status.restarts, status.last_error) == ("connected", 1, None)
    await gone(*pids)


async def test_a_server_killed_between_calls_is_restarted_unnoticed(pool: UpstreamPool) -> None:
    pids = await call(pool, raw(), "pids")
    os.kill(pids[0], signal.SIGKILL)
    await until(lambda: pool.status(1).state != "connected")
    assert await call(pool, raw(), "log") == "done"


async def test_a_call_is_never_sent_twice_to_a_server_that_may_have_taken_it(pool: UpstreamPool) -> None:
    spec = raw()
    for _ in range(2):
        with pytest.raises(UpstreamUnavailableError, match="exited with code 3"):
            await call(pool, spec, "die")
    assert await call(pool, spec, "count") == 1


async def test_a_changed_spec_opens_a_new_session_and_lets_calls_finish(pool: UpstreamPool) -> None:
    old = await call(pool, raw(), "pids")
    results: list[Any] = []

    async def slow() -> None:
        results.append(await call(pool, raw(), "slow", arguments={"seconds": 0.5}))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow)
        await anyio.wait_all_tasks_blocked()
        changed = await call(pool, raw(env={"NEW": "1"}), "environment")
    assert changed["NEW"] == "1"
    assert results == ["done"]
    await gone(*old)


async def test_sessions_of_a_per_client_server_are_apart(pool: UpstreamPool) -> None:
    spec = raw(session="per_client")
    first = (await call(pool, spec, "pids", session_key="a"))[0]
    second = (await call(pool, spec, "pids", session_key="b"))[0]
    assert first != second
    assert (await call(pool, spec, "pids", session_key="a"))[0] == first
    await pool.close_sessions("a")
    assert not alive(first)
    assert alive(second)


async def test_a_shared_server_does_not_mind_session_keys(pool: UpstreamPool) -> None:
    first = (await call(pool, raw(), "pids", session_key="a"))[0]
    assert (await call(pool, raw(), "pids", session_key="b"))[0] == first
    await pool.close_sessions("a")
    assert alive(first)


async def test_a_forgotten_server_has_ended(pool: UpstreamPool) -> None:
    pids = await call(pool, raw(), "pids")
    await pool.close_server(1)
    assert not alive(pids[0])
    assert pool.status(1).state == "idle"


async def test_a_server_that_is_still_connecting_can_be_forgotten(pool: UpstreamPool) -> None:
    async with anyio.create_task_group() as tasks:

        async def connect() -> None:
            with pytest.raises(UpstreamUnavailableError, match="changed or removed"):
                await call(pool, raw("silent"), "echo")

        tasks.start_soon(connect)
        await until(lambda: pool.status(1).state == "starting")
        await pool.close_server(1)


async def test_calls_over_the_limit_wait_and_then_are_told_that_the_server_is_busy(pool: UpstreamPool) -> None:
    spec = raw(max_calls=2)
    outcomes: list[str] = []
    await call(pool, spec, "log")

    async def one(timeout: float) -> None:
        try:
            await call(pool, spec, "hang", timeout=timeout)
        except UpstreamBusyError as error:
            outcomes.append(error.message[:32])
        except UpstreamTimeoutError:
            outcomes.append("timeout")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for timeout in (1.0, 1.0, 0.3, 0.3, 0.3):
                tasks.start_soon(one, timeout)
    assert outcomes == ["Server Raw Server is busy with 2"] * 3 + ["timeout"] * 2
    assert await call(pool, spec, "log") == "done"


async def test_two_hundred_calls_to_a_slow_server_do_not_slow_another(pool: UpstreamPool) -> None:
    slow, quick = raw(max_calls=4), raw(id=2, name="Quick")
    await call(pool, quick, "log")
    await call(pool, slow, "log")
    refused = 0

    async def one() -> None:
        nonlocal refused
        try:
            await call(pool, slow, "slow", arguments={"seconds": 0.1}, timeout=0.5)
        except (UpstreamBusyError, UpstreamTimeoutError):
            refused += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(200):
            tasks.start_soon(one)
        with anyio.fail_after(10):
            for _ in range(20):
                await call(pool, quick, "log")
    assert 150 < refused < 200


async def test_a_silent_server_does_not_delay_another(pool: UpstreamPool) -> None:
    async with anyio.create_task_group() as tasks:

        async def silent() -> None:
            with pytest.raises(UpstreamUnavailableError, match="changed or removed"):
                await call(pool, raw("silent"), "echo")

        tasks.start_soon(silent)
        await until(lambda: pool.status(1).state == "starting")
        assert await call(pool, raw(id=2), "log") == "done"
        assert pool.status(1).state == "starting"
        await pool.close_server(1)


async def test_callers_of_a_silent_server_wait_no_longer_than_their_own_timeout(pool: UpstreamPool) -> None:
    async with anyio.create_task_group() as tasks:

        async def patient() -> None:
            with pytest.raises(UpstreamUnavailableError, match="changed or removed"):
                await call(pool, raw("silent"), "echo")

        tasks.start_soon(patient)
        await until(lambda: pool.status(1).state == "starting")
        with anyio.fail_after(10), pytest.raises(UpstreamTimeoutError, match="is still starting"):
            await call(pool, raw("silent"), "echo", timeout=0.2)
        await pool.close_server(1)


async def test_a_server_that_fails_five_times_in_a_row_is_left_alone_for_a_while(pool: UpstreamPool) -> None:
    spec = raw("exit")
    for _ in range(5):
        with pytest.raises(UpstreamUnavailableError, match="exited with code 7"):
            await call(pool, spec, "echo")
    status = pool.status(1)
    assert status.state == "left_alone"
    assert "no licence" in status.stderr
    with (
        anyio.fail_after(5),
        pytest.raises(UpstreamUnavailableError, match="failed 5 times in a row and is left alone"),
    ):
        await call(pool, spec, "echo")
    await until(lambda: pool.status(1).state != "left_alone")
    with pytest.raises(UpstreamUnavailableError, match="exited with code 7"):
        await call(pool, spec, "echo")
    assert pool.status(1).state == "left_alone"


async def test_a_server_left_alone_recovers(pool: UpstreamPool) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        spec = web(f"http://127.0.0.1:{listening.getsockname()[1]}/handshake")
        for _ in range(5):
            with pytest.raises(UpstreamUnavailableError):
                await pool.request(spec, UpstreamRequest("tools/call", {"name": "x"}))
        assert pool.status(1).state == "left_alone"
        async with serving(Odd().app, listening):
            with anyio.fail_after(5):
                while True:
                    try:
                        await pool.request(spec, UpstreamRequest("tools/call", {"name": "x"}))
                        break
                    except UpstreamUnavailableError:
                        await anyio.sleep(0.02)
            assert pool.status(1).state == "connected"


async def test_error_replies_and_hasty_callers_do_not_count_as_failures(pool: UpstreamPool) -> None:
    for _ in range(6):
        with pytest.raises(UpstreamReplyError):
            await call(pool, raw(), "refuse")
        with pytest.raises(UpstreamTimeoutError):
            await call(pool, raw(), "hang", timeout=0.01)
    assert pool.status(1).state == "connected"


async def test_a_server_that_hangs_is_replaced_after_it_was_left_alone(pool: UpstreamPool) -> None:
    spec = raw(call_timeout=0.2)
    pids = await call(pool, spec, "pids", timeout=5)
    for _ in range(5):
        with pytest.raises(UpstreamTimeoutError):
            await call(pool, spec, "hang")
    assert pool.status(1).state == "left_alone"
    await gone(*pids)
    await until(lambda: pool.status(1).state != "left_alone")
    assert await call(pool, spec, "log", timeout=5) == "done"


async def test_a_session_that_the_server_has_forgotten_is_opened_again_unnoticed(pool: UpstreamPool) -> None:
    odd = Odd()
    async with serving(odd.app) as root:
        spec = web(f"{root}/handshake")
        await pool.request(spec, UpstreamRequest("tools/call", {"name": "x"}))
        odd.forgetful = True
        result = await pool.request(spec, UpstreamRequest("tools/call", {"name": "x"}))
        assert result["headers"]["mcp-session-id"] == "session-2"
        await pool.close_server(1)


async def test_an_http_server_that_is_gone_is_connected_again_when_it_is_back(pool: UpstreamPool) -> None:
    port = spare_port()
    spec = web(f"http://127.0.0.1:{port}/handshake")
    async with serving(Odd().app, socket.create_server(("127.0.0.1", port))):
        await pool.request(spec, UpstreamRequest("tools/call", {"name": "x"}))
    with pytest.raises(UpstreamUnavailableError, match="Web Server"):
        await pool.request(spec, UpstreamRequest("tools/call", {"name": "x"}))
    assert pool.status(1).state == "failing"
    async with serving(Odd().app, socket.create_server(("127.0.0.1", port))):
        await pool.request(spec, UpstreamRequest("tools/call", {"name": "x"}))
        assert pool.status(1).state == "connected"
        await pool.close_server(1)


async def test_an_idle_stdio_server_is_stopped_and_started_on_demand(pool: UpstreamPool) -> None:
    spec = raw(idle_stop_seconds=0.3)
    pids = await call(pool, spec, "pids")
    await gone(*pids)
    assert pool.status(1).state == "idle"
    assert await call(pool, spec, "log") == "done"
    assert pool.status(1).restarts == 1


async def test_a_check_measures_the_round_trip_and_tells_failures_by_the_status(pool: UpstreamPool) -> None:
    healthy = await pool.check(raw())
    assert healthy.state == "connected"
    assert healthy.latency_ms is not None
    assert healthy.last_seen is not None
    broken = await pool.check(raw("exit", id=2))
    assert broken.state == "failing"
    assert broken.last_error is not None
    assert "exited with code 7" in broken.last_error


async def test_checks_do_not_put_off_the_idle_stop(pool: UpstreamPool) -> None:
    spec = raw(idle_stop_seconds=0.5)
    pids = await call(pool, spec, "pids")
    with anyio.fail_after(5):
        while alive(pids[0]):
            if pool.status(1).state == "connected":
                await pool.check(spec)
            await anyio.sleep(0.05)


async def test_a_server_that_ends_on_the_probe_is_started_again_without_it(pool: UpstreamPool) -> None:
    assert await call(pool, raw("strict"), "log") == "done"
    assert pool.status(1).state == "connected"


async def test_what_belongs_to_no_call_reaches_the_pool_and_a_question_its_call(
    no_child_is_left: None,
) -> None:
    changed: list[Any] = []
    asked: list[Any] = []
    noticed: list[Any] = []

    async def on_question(method: str, params: Message) -> Message:
        asked.append(method)
        return {"action": "cancel"}

    spec = raw(session="per_client")
    async with UpstreamPool(
        UpstreamSettings(),
        on_list_changed=lambda spec, method: changed.append((spec.id, method)),
        on_notification=lambda spec, key, method, params: noticed.append((spec.id, key, method, params)),
    ) as pool:
        await call(pool, spec, "change", session_key="a")
        await call(pool, spec, "log", session_key="a")
        hooks = CallHooks(on_server_request=on_question)
        arguments = {"method": "elicitation/create"}
        answer = await call(pool, spec, "ask", arguments=arguments, session_key="a", hooks=hooks)
    assert changed == [(1, "notifications/tools/list_changed")]
    assert noticed == [(1, "a", "notifications/message", {"level": "info", "data": "hello"})]
    assert asked == ["elicitation/create"]
    assert answer["result"] == {"action": "cancel"}


async def test_leaving_the_pool_ends_every_child(no_child_is_left: None) -> None:
    pids: list[int] = []
    async with UpstreamPool(UpstreamSettings()) as pool:
        for number in (1, 2, 3):
            pids += await call(pool, raw(id=number), "pids")
    await gone(*pids)


async def test_secrets_are_not_shown() -> None:
    shown = repr(raw(env={"TOKEN": "s3cret"}, headers={"Authorization": "s3cret"}, args=("--key", "s3cret")))
    assert "s3cret" not in shown
    assert "Raw Server" in shown


async def _kill_in_a_call(pool: UpstreamPool, pid: int) -> None:
    await until(lambda: pool.calls()["in_flight"] == 1)
    await anyio.wait_all_tasks_blocked()
    os.kill(pid, signal.SIGKILL)
