"""Tasks, and a client's own sessions with a server, through two processes of which one has the server."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2

from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.servers.tuning import Tuning
from gateway.components import open_components
from gateway.settings import Settings
from tests.cluster.replicas import Replica, children_of, replica
from tests.cluster.test_processes import ACCEPT, INITIALIZE, text
from tests.downstream.conftest import TALKER
from tests.downstream.methods.tasks.test_tasks import TASK_SERVER, modern_request
from tests.support.waiting import until

INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


@contextlib.asynccontextmanager
async def replicas_of(
    settings: Settings, server: ServerDefinition, tuning: Tuning | None = None
) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two gateways with this server, which nobody checks."""
    async with open_components(settings) as parts:
        server_id = await parts.servers.add(1, server)
        if tuning is not None:
            await parts.servers.set_tuning(1, server_id, tuning)
        await parts.sync.run(1, server_id)
        key = (await parts.keys.create(1, "test", ["all"])).key
    unchecked = {"MODELGATE_UPSTREAM_CHECK_EVERY_SECONDS": "0"}
    async with replica(settings, key, **unchecked) as first, replica(settings, key, **unchecked) as second:
        yield first, second


async def ask(gateway: Replica, method: str, **params: Any) -> dict[str, Any]:
    """The result of a request of a client that knows tasks."""
    body, headers = modern_request(method, key=gateway.key, **params)
    result: dict[str, Any] = (await gateway.post(body, **headers)).json()["result"]
    return result


async def hear_the_end(gateway: Replica, task_id: str) -> dict[str, Any]:
    """The last that is said on a stream about a task."""
    body, headers = modern_request("subscriptions/listen", key=gateway.key, notifications={"taskIds": [task_id]})
    async with (
        httpx2.AsyncClient(timeout=60) as http,
        http.stream("POST", f"{gateway.url}/mcp", json=body, headers=headers) as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                message = json.loads(line.removeprefix("data: "))["params"]
                if message.get("status") == "completed":
                    return dict(message)
    raise AssertionError("the stream ended before the task did")


async def test_a_task_is_read_answered_cancelled_and_heard_of_through_any_process(
    settings: Settings, tmp_path: Path
) -> None:
    log = tmp_path / "tasks.log"
    server = ServerDefinition("Tasks", "stdio", command=sys.executable, args=(str(TASK_SERVER), str(log)))
    async with replicas_of(settings, server) as both:
        for one, other in (both, both[::-1]):
            task_id = (await ask(one, "tools/call", name="tasks__ask", arguments={}))["taskId"]
            state = await ask(other, "tasks/get", taskId=task_id)
            assert (state["taskId"], state["status"]) == (task_id, "input_required")
            answers = {"name": {"action": "accept", "content": {"name": "Ada"}}}
            await ask(other, "tasks/update", taskId=task_id, inputResponses=answers)
            assert text((await ask(one, "tasks/get", taskId=task_id))["result"]) == "hello Ada"
            assert text((await ask(other, "tasks/get", taskId=task_id))["result"]) == "hello Ada"

            task_id = (await ask(one, "tools/call", name="tasks__never", arguments={}))["taskId"]
            await ask(other, "tasks/cancel", taskId=task_id)
            assert (await ask(one, "tasks/get", taskId=task_id))["status"] == "cancelled"

            task_id = (await ask(one, "tools/call", name="tasks__work", arguments={}))["taskId"]
            assert text((await hear_the_end(other, task_id))["result"]) == "worked"
        # All of it was one process of the server.
        assert [line for line in log.read_text().splitlines() if line.startswith("created")] == [
            f"created task-{number}" for number in range(1, 7)
        ]


async def test_a_client_has_one_session_with_a_server_wherever_its_requests_land(settings: Settings) -> None:
    arguments = ("-I", "-S", str(TALKER), "handshake", "talker", os.devnull)
    server = ServerDefinition("Talker", "stdio", sys.executable, arguments)
    async with replicas_of(settings, server, Tuning(session="per_client")) as both:
        first, second = both

        def processes() -> set[int]:
            return {child for each in both for child in children_of(each.process.pid, TALKER.name)}

        async def open_session(one: Replica, other: Replica) -> dict[str, str]:
            opened = await one.post(INITIALIZE, **ACCEPT)
            headers = {**ACCEPT, "Mcp-Session-Id": opened.headers["mcp-session-id"]}
            assert (await other.post(INITIALIZED, **headers)).status_code == 202
            return headers

        async def call(gateway: Replica, headers: dict[str, str]) -> None:
            params = {"name": "talker__echo", "arguments": {}}
            response = await gateway.post({**INITIALIZE, "method": "tools/call", "params": params}, **headers)
            assert '"label' in response.text.replace("\\", ""), response.text

        of_clients = []
        for one, other in (both, both[::-1]):
            before, headers = processes(), await open_session(one, other)
            for gateway in (one, other) * 3:
                await call(gateway, headers)
            (own,) = processes() - before
            of_clients.append((own, headers))
        # Without a session it is the key's, at every process.
        before = processes()
        for gateway in both * 2:
            await gateway.call("talker__echo")
        assert len(processes() - before) == 1

        (process, headers), (other_process, other_headers) = of_clients
        async with httpx2.AsyncClient(timeout=60) as http:
            ended = await http.delete(f"{second.url}/mcp", headers={**headers, "X-API-Key": second.key})
            assert ended.status_code == 200
        await until(lambda: process not in processes())
        assert other_process in processes()
        await call(first, other_headers)
