"""What servers say between calls, to clients that have a session with them of their own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.access.roles import create_role
from gateway.access.rules import set_rule
from gateway.catalog.servers.tuning import Tuning
from tests.downstream.conftest import AddTalker, Era, Talker
from tests.downstream.protocol.sessions.test_client_sessions import opened
from tests.support.gateway import RunningGateway
from tests.support.waiting import until

Messages = list[dict[str, Any]]

LOGS = [
    {"method": "notifications/message", "params": {"level": "debug", "data": {"number": 0}}},
    {"method": "notifications/message", "params": {"level": "error", "data": {"number": 1}}},
    {"method": "notifications/elicitation/complete", "params": {"elicitationId": "Talker"}},
]


async def add_own(
    gateway: RunningGateway, add_talker: AddTalker, tenant_id: int, session: Any = "per_client"
) -> Talker:
    talker = await add_talker(era="handshake")
    await gateway.parts.servers.set_tuning(tenant_id, talker.id, Tuning(session=session))
    await gateway.parts.pool.close_server(talker.id)
    return talker


async def log_later(gateway: RunningGateway, headers: dict[str, str], file: Path) -> None:
    params = {"name": "talker__log", "arguments": {"later": str(file)}}
    response = await gateway.post({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": params}, **headers)
    assert "later" in response.text


@asynccontextmanager
async def listening(gateway: RunningGateway, headers: dict[str, str]) -> AsyncIterator[Messages]:
    """What comes on the stream of a session, but for lists that have changed, as those of a new rule have."""
    heard: Messages = []

    async def read() -> None:
        async with gateway.http.stream("GET", "/mcp", headers=headers, timeout=30) as response:
            assert response.status_code == 200
            open_.set()
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    message = json.loads(line.removeprefix("data: "))
                    if not message["method"].endswith("/list_changed"):
                        heard.append({key: message[key] for key in ("method", "params") if key in message})

    open_ = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await open_.wait()
        yield heard
        tasks.cancel_scope.cancel()


async def test_they_reach_the_client_whose_session_it_is_in_order_and_nobody_else(
    gateway: RunningGateway, add_talker: AddTalker, tenant_id: int, tmp_path: Path
) -> None:
    await add_own(gateway, add_talker, tenant_id)
    mine, theirs = await opened(gateway), await opened(gateway)
    async with listening(gateway, mine) as heard, listening(gateway, theirs) as overheard:
        await log_later(gateway, mine, tmp_path / "mine")
        await log_later(gateway, theirs, tmp_path / "theirs")
        (tmp_path / "mine").touch()
        await until(lambda: len(heard) == 3)
        assert overheard == []
        (tmp_path / "theirs").touch()
        await until(lambda: len(overheard) == 3)
    assert heard == overheard == LOGS


async def test_a_client_hears_from_the_level_on_that_it_has_set(
    gateway: RunningGateway, add_talker: AddTalker, tenant_id: int, tmp_path: Path
) -> None:
    await add_own(gateway, add_talker, tenant_id)
    headers = await opened(gateway)
    level = {"jsonrpc": "2.0", "id": 2, "method": "logging/setLevel", "params": {"level": "error"}}
    await gateway.post(level, **headers)
    async with listening(gateway, headers) as heard:
        await log_later(gateway, headers, tmp_path / "go")
        (tmp_path / "go").touch()
        await until(lambda: len(heard) == 2)
    assert heard == LOGS[1:]


async def test_a_client_that_may_no_longer_use_the_server_hears_nothing(
    gateway: RunningGateway, add_talker: AddTalker, tenant_id: int, tmp_path: Path
) -> None:
    talker = await add_own(gateway, add_talker, tenant_id)
    role = await create_role(gateway.parts.database, tenant_id, "fickle", "SEARCH")
    headers = await opened(gateway, (await gateway.parts.keys.create(tenant_id, "fickle", ["fickle"])).key)
    others = await opened(gateway)
    async with listening(gateway, headers) as heard, listening(gateway, others) as overheard:
        await log_later(gateway, headers, tmp_path / "go")
        await log_later(gateway, others, tmp_path / "go")
        await set_rule(gateway.parts.database, tenant_id, role.id, "DENY", server_id=talker.id)
        (tmp_path / "go").touch()
        await until(lambda: len(overheard) == 3)
        await anyio.wait_all_tasks_blocked()
    assert heard == []


async def test_what_is_said_in_a_session_that_all_share_reaches_nobody(
    gateway: RunningGateway, add_talker: AddTalker, tenant_id: int, tmp_path: Path
) -> None:
    talker = await add_own(gateway, add_talker, tenant_id, session="shared")
    headers = await opened(gateway)
    async with listening(gateway, headers) as heard:
        await log_later(gateway, headers, tmp_path / "go")
        (tmp_path / "go").touch()
        await talker.wait_for_log("logged")
        # It had said all of it when it answered this one.
        await log_later(gateway, headers, tmp_path / "never")
    assert heard == []


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_results_say_nothing_of_the_modern_era_to_those_who_do_not_know_it(
    gateway: RunningGateway, add_talker: AddTalker, era: Era
) -> None:
    await add_talker(era=era)
    headers = await opened(gateway)
    in_session = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "talker__everything"}}
    said = (await gateway.post(in_session, **headers)).text
    answers = [await gateway.call("talker__everything"), json.loads(said[said.index("{") :].strip())["result"]]
    read = {"jsonrpc": "2.0", "id": 4, "method": "resources/read", "params": {"uri": "file:///notes.txt"}}
    for result in answers:
        assert not {"resultType", "ttlMs", "cacheScope"} & result.keys()
        assert result["_meta"] == {"vendor/key": {"kept": [True]}}
    assert "resultType" not in (await gateway.post(read, **headers)).text
