"""What is heard of a server unasked, and when it can be heard at all."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.errors import UpstreamBusyError, UpstreamError
from gateway.settings import UpstreamSettings
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import CallHooks, UpstreamRequest
from gateway.upstream.spec import ServerSpec
from tests.downstream.conftest import TALKER
from tests.downstream.listening import NOTIFYING_SERVER
from tests.upstream.conftest import raw
from tests.upstream.processes import until

NOTE = "note://a"
BOTH = pytest.mark.parametrize("era", ["handshake", "modern"])


def telling(folder: Path, era: str, **changes: Any) -> ServerSpec:
    """A server that says what it is told to."""
    listed = folder / "listed.json"
    listed.write_text(json.dumps({}))
    arguments = ("-I", "-S", str(NOTIFYING_SERVER), era, str(listed), str(folder / "notes"))
    return raw(args=arguments, name="NotifyingServer", **changes)


def noted(folder: Path, what: str) -> int:
    return [line.partition(" ")[2] for line in (folder / "notes").read_text().splitlines()].count(what)


@BOTH
async def test_the_pool_tells_of_sessions_that_open_and_end(no_child_is_left: None, tmp_path: Path, era: str) -> None:
    told: list[tuple[int, str | None, object, bool]] = []

    def on_session(spec: ServerSpec, key: str | None, session: object, opened: bool) -> None:
        told.append((spec.id, key, session, opened))

    spec = telling(tmp_path, era, session="per_client")
    async with UpstreamPool(UpstreamSettings(), on_session=on_session) as pool:
        await pool.request(spec, UpstreamRequest("tools/list", session_key="me"))
        with pytest.raises(UpstreamError):
            await pool.request(spec, UpstreamRequest("tools/call", {"name": "die"}, session_key="me"))
        await until(lambda: len(told) == 2)
        await pool.request(spec, UpstreamRequest("tools/list", session_key="me"))
        await pool.close_sessions("me")
        await until(lambda: len(told) == 4)
    assert [(server, key, opened) for server, key, _, opened in told] == [
        (1, "me", True),
        (1, "me", False),
        (1, "me", True),
        (1, "me", False),
    ]
    sessions = [session for _, _, session, _ in told]
    assert sessions[0] is sessions[1] is not sessions[2]
    assert sessions[2] is sessions[3]


async def test_a_server_is_unused_once_nothing_of_it_is_subscribed(no_child_is_left: None, tmp_path: Path) -> None:
    spec = telling(tmp_path, "handshake", idle_stop_seconds=0.2)
    async with UpstreamPool(UpstreamSettings()) as pool:
        await pool.request(spec, UpstreamRequest("resources/subscribe", {"uri": NOTE}))
        await pool.request(spec, UpstreamRequest("resources/subscribe", {"uri": NOTE}))
        await anyio.sleep(0.6)
        assert noted(tmp_path, "stopped") == 0
        await pool.request(spec, UpstreamRequest("resources/unsubscribe", {"uri": NOTE}))
        await until(lambda: noted(tmp_path, "stopped") == 1)
        assert noted(tmp_path, "started") == 1


async def test_a_session_that_something_is_subscribed_through_makes_no_room_for_another_client(
    no_child_is_left: None, tmp_path: Path
) -> None:
    spec = telling(tmp_path, "handshake", session="per_client")
    async with UpstreamPool(UpstreamSettings(), max_client_processes=2) as pool:
        for key in ("a", "b"):
            await pool.request(spec, UpstreamRequest("resources/subscribe", {"uri": NOTE}, session_key=key))
        with pytest.raises(UpstreamBusyError, match="NotifyingServer is busy with 2 clients"):
            await pool.request(spec, UpstreamRequest("tools/list", session_key="c"))
        assert noted(tmp_path, "stopped") == 0
        await pool.request(spec, UpstreamRequest("resources/unsubscribe", {"uri": NOTE}, session_key="b"))
        await pool.request(spec, UpstreamRequest("tools/list", session_key="c"))
        await until(lambda: noted(tmp_path, "stopped") == 1)
        assert noted(tmp_path, "started") == 3


async def test_a_server_is_unused_once_nobody_listens_to_it(no_child_is_left: None, tmp_path: Path) -> None:
    spec = telling(tmp_path, "modern", idle_stop_seconds=0.2)
    params = {"notifications": {"resourceSubscriptions": [NOTE]}}
    async with UpstreamPool(UpstreamSettings()) as pool, anyio.create_task_group() as tasks:

        async def hear() -> None:
            await pool.request(spec, UpstreamRequest("subscriptions/listen", params, timeout=math.inf))

        tasks.start_soon(hear)
        await until(lambda: (tmp_path / "notes").exists() and noted(tmp_path, f"subscribed {NOTE}") == 1)
        await anyio.sleep(0.6)
        assert noted(tmp_path, "stopped") == 0
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await until(lambda: noted(tmp_path, "stopped") == 1)


async def test_what_is_logged_in_a_call_belongs_to_it_while_somebody_listens(
    no_child_is_left: None, tmp_path: Path
) -> None:
    spec = raw(args=("-I", "-S", str(TALKER), "modern", "Talker", str(tmp_path / "notes")))
    params = {"notifications": {"resourceSubscriptions": [NOTE]}}
    acknowledged = anyio.Event()
    logged: list[Any] = []

    async def on_notification(method: str, params: dict[str, Any]) -> None:
        logged.append(params["level"])

    def noticed(spec: ServerSpec, key: str | None, method: str, params: dict[str, Any]) -> None:
        if params.get("notifications", {}).get("resourceSubscriptions"):
            acknowledged.set()

    async with UpstreamPool(UpstreamSettings(), on_notification=noticed) as pool, anyio.create_task_group() as tasks:

        async def hear() -> None:
            await pool.request(spec, UpstreamRequest("subscriptions/listen", params, timeout=math.inf))

        tasks.start_soon(hear)
        with anyio.fail_after(10):
            await acknowledged.wait()
        await pool.request(
            spec, UpstreamRequest("tools/call", {"name": "log"}, hooks=CallHooks(on_notification=on_notification))
        )
        tasks.cancel_scope.cancel()
    assert logged == ["debug", "error"]
