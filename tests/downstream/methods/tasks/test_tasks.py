"""Tools whose calls become tasks: waited for, or handed on to clients that know tasks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import ElicitRequestParams, ElicitResult

from gateway.audit.call_log import CallLog
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.downstream.methods.tasks.approval_tasks import ApprovalTasks
from gateway.downstream.methods.tasks.caller_tasks import CallerTasks
from gateway.downstream.methods.tasks.task_ids import TaskIds
from gateway.downstream.methods.tasks.task_watch import TaskWatch
from gateway.downstream.methods.use_guards import UseGuards
from gateway.downstream.result_limit import ResultLimit
from gateway.guards.rule import GuardRule
from tests.downstream.conftest import HANDSHAKE, Connect, text_of
from tests.support.gateway import RunningGateway
from tests.support.waiting import until

TASK_SERVER = Path(__file__).parents[3] / "doubles" / "task_server.py"
EXTENSION = "io.modelcontextprotocol/tasks"
VERSION = "2026-07-28"


class _NoCalls:
    """Makes no call that was let through: there is none."""

    async def call_approved(self, *_: Any) -> Any:
        raise AssertionError("nothing was approved")


@dataclass(frozen=True, slots=True)
class TaskServer:
    """The server, and what it has noted."""

    id: int
    log: Path

    def noted(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
async def server(gateway: RunningGateway, tmp_path: Path) -> TaskServer:
    log = tmp_path / "tasks.log"
    new = ServerDefinition("Tasks", "stdio", command=sys.executable, args=(str(TASK_SERVER), str(log)))
    server_id = await gateway.parts.servers.add(1, new)
    await gateway.parts.sync.run(1, server_id)
    return TaskServer(server_id, log)


def modern_request(
    method: str, *, tasks: bool = True, key: str, **params: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    """Body and headers of a request of the modern era."""
    capabilities: dict[str, Any] = {"extensions": {EXTENSION: {}}} if tasks else {}
    meta = {
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    }
    headers = {
        "MCP-Protocol-Version": VERSION,
        "Mcp-Method": method,
        "Accept": "application/json, text/event-stream",
        "X-API-Key": key,
    }
    named = params.get("name") or params.get("taskId")
    if named is not None:
        headers["Mcp-Name"] = named
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    return body, headers


@contextlib.asynccontextmanager
async def listening_to(gateway: RunningGateway, *task_ids: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """What is sent on a stream about these tasks."""
    body, headers = modern_request("subscriptions/listen", key=gateway.key, notifications={"taskIds": task_ids})
    async with gateway.http.stream("POST", "/mcp", json=body, headers=headers) as response:

        async def messages() -> AsyncIterator[dict[str, Any]]:
            async for line in response.aiter_lines():
                if line.startswith("data:") and line != "data:":
                    yield json.loads(line.removeprefix("data:"))

        yield messages()


async def modern(
    gateway: RunningGateway, method: str, *, tasks: bool = True, key: str | None = None, **params: Any
) -> dict[str, Any]:
    """The whole answer to a request of the modern era, of a client that knows tasks, or does not."""
    body, headers = modern_request(method, tasks=tasks, key=key or gateway.key, **params)
    answer: dict[str, Any] = (await gateway.post(body, **headers)).json()
    return answer


async def start(gateway: RunningGateway, name: str) -> dict[str, Any]:
    """The task that a call has become."""
    task: dict[str, Any] = (await modern(gateway, "tools/call", name=f"tasks__{name}", arguments={}))["result"]
    assert task["resultType"] == "task"
    return task


async def test_a_plain_post_waits_for_the_task(gateway: RunningGateway, server: TaskServer) -> None:
    result = await gateway.call("tasks__work")
    assert result["content"] == [{"type": "text", "text": "worked"}]
    assert "resultType" not in result
    assert server.noted() == ["created task-1", *["tasks/get task-1"] * 3]


async def test_a_client_in_a_session_waits_and_hears_of_progress(server: TaskServer, connect: Connect) -> None:
    heard: list[str | None] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async with connect(HANDSHAKE) as client:
        result = await client.call_tool("tasks__work", {}, progress_callback=on_progress)
    assert text_of(result) == "worked"
    assert heard == ["step 1", "step 2"]


async def test_a_client_in_a_session_is_asked_what_the_task_asks(server: TaskServer, connect: Connect) -> None:
    asked: list[str] = []

    async def answer(context: Any, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"name": "Ada"})

    async with connect(HANDSHAKE, elicitation_callback=answer) as client:
        assert text_of(await client.call_tool("tasks__ask", {})) == "hello Ada"
    assert asked == ["Your name?"]


async def test_a_task_that_fails_is_the_error_of_the_call(gateway: RunningGateway, server: TaskServer) -> None:
    answer = await gateway.request("tools/call", {"name": "tasks__fail", "arguments": {}})
    assert answer["error"] == {"code": -31998, "message": "out of paper", "data": {"a": 1}}


async def test_a_question_that_nobody_can_answer_ends_the_task(gateway: RunningGateway, server: TaskServer) -> None:
    answer = await gateway.request("tools/call", {"name": "tasks__ask", "arguments": {}})
    assert "cannot be asked" in str(answer)
    assert server.noted()[-1] == "tasks/cancel task-1"


async def test_a_client_that_leaves_ends_the_task(gateway: RunningGateway, server: TaskServer) -> None:
    calling = asyncio.create_task(gateway.call("tasks__never"))
    await until(lambda: "tasks/get task-1" in server.noted())
    calling.cancel()
    await until(lambda: "tasks/cancel task-1" in server.noted())


async def test_a_client_that_knows_tasks_has_one_under_an_id_of_its_own(
    gateway: RunningGateway, server: TaskServer
) -> None:
    task = await start(gateway, "work")
    assert "task-1" not in task["taskId"]
    assert (task["status"], task["pollIntervalMs"]) == ("working", 50)
    for _ in range(3):
        state = (await modern(gateway, "tasks/get", taskId=task["taskId"]))["result"]
        assert state["taskId"] == task["taskId"]
    assert (state["status"], state["resultType"]) == ("completed", "complete")
    assert state["result"]["content"] == [{"type": "text", "text": "worked"}]


async def test_what_a_task_comes_to_goes_through_the_guards_however_the_client_hears_of_it(
    gateway: RunningGateway, server: TaskServer
) -> None:
    for action in ("deny", "observe"):
        rule = GuardRule("small", "size", action, stages=("result",), options={"max_bytes": 10})
        await gateway.parts.guards.rules.set(1, rule)
        task_id = (await start(gateway, "work"))["taskId"]
        heard: list[Any] = []
        async with listening_to(gateway, task_id) as messages:
            async for message in messages:
                heard.append(message["params"].get("result"))
                if heard[-1] is not None:
                    break
        state = (await modern(gateway, "tasks/get", taskId=task_id))["result"]
        for result in (heard[-1], state["result"]):
            assert result.get("isError", False) is (action == "deny")
            assert ("worked" in str(result)) is (action == "observe")


async def test_the_error_of_a_task_goes_through_the_guards(gateway: RunningGateway, server: TaskServer) -> None:
    for action in ("observe", "deny"):
        rule = GuardRule("small", "size", action, stages=("result",), options={"max_bytes": 10})
        await gateway.parts.guards.rules.set(1, rule)
        task_id = (await start(gateway, "fail"))["taskId"]
        state = (await modern(gateway, "tasks/get", taskId=task_id))["result"]
        assert state["status"] == "failed"
        assert ("out of paper" in json.dumps(state)) is (action == "observe")
        assert state["error"]["code"] == (-31998 if action == "observe" else -31422)


async def test_a_task_is_answered_and_cancelled(gateway: RunningGateway, server: TaskServer) -> None:
    task = await start(gateway, "ask")
    state = (await modern(gateway, "tasks/get", taskId=task["taskId"]))["result"]
    assert (state["status"], list(state["inputRequests"])) == ("input_required", ["name"])
    responses = {"name": {"action": "accept", "content": {"name": "Ada"}}}
    updated = await modern(gateway, "tasks/update", taskId=task["taskId"], inputResponses=responses)
    assert updated["result"]["resultType"] == "complete"
    state = (await modern(gateway, "tasks/get", taskId=task["taskId"]))["result"]
    assert state["result"]["content"][0]["text"] == "hello Ada"
    other = await start(gateway, "never")
    await modern(gateway, "tasks/cancel", taskId=other["taskId"])
    assert (await modern(gateway, "tasks/get", taskId=other["taskId"]))["result"]["status"] == "cancelled"


async def test_a_client_that_listens_hears_how_its_tasks_go_on(gateway: RunningGateway, server: TaskServer) -> None:
    works, fails = await start(gateway, "work"), await start(gateway, "fail")
    heard: dict[str, list[dict[str, Any]]] = {works["taskId"]: [], fails["taskId"]: []}
    async with listening_to(gateway, *heard, "task-1") as messages:
        acknowledged = await anext(messages)
        assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
        assert acknowledged["params"]["notifications"] == {"taskIds": list(heard)}
        while not all(states and states[-1]["status"] in ("completed", "failed") for states in heard.values()):
            message = await anext(messages)
            assert message["method"] == "notifications/tasks"
            assert message["params"].pop("_meta") == acknowledged["params"]["_meta"]
            heard[message["params"]["taskId"]].append(message["params"])
    assert [state.get("statusMessage") for state in heard[works["taskId"]]] == ["step 1", "step 2", None]
    assert heard[works["taskId"]][-1]["result"]["content"] == [{"type": "text", "text": "worked"}]
    assert [state["error"]["message"] for state in heard[fails["taskId"]]] == ["out of paper"]


async def test_a_task_is_watched_no_longer_than_its_tool_may_be_called(
    gateway: RunningGateway, server: TaskServer
) -> None:
    task_id = (await start(gateway, "never"))["taskId"]
    parts = gateway.parts
    tasks = CallerTasks(
        parts.database, parts.servers, TaskIds(parts.vault), ResultLimit(1_000), UseGuards(parts.guards)
    )
    approvals = ApprovalTasks(parts.approvals, parts.servers, parts.approval_watch, _NoCalls())
    watch = TaskWatch(tasks, approvals, parts.caller_requests, CallLog(parts.recorder, parts.metrics))
    caller = await parts.caller_authenticator.authenticate(gateway.key)
    heard: list[str] = []

    async def on_task(state: dict[str, Any]) -> None:
        heard.append(state["status"])
        await parts.servers.set_enabled(1, server.id, False)

    assert await watch.find(caller, [task_id, "none"]) == (task_id,)
    with anyio.fail_after(10):
        await watch.watch(lambda: caller, "key", [task_id], on_task)
    assert heard == ["working"]
    assert await watch.find(caller, [task_id]) == ()


@pytest.mark.parametrize(
    ("task_ids", "tasks", "code"),
    [
        ("no list", True, -32602),
        ([5], True, -32602),
        ([str(number) for number in range(101)], True, -32602),
        ([], False, -32021),
    ],
)
async def test_a_subscription_to_tasks_that_cannot_be_is_refused(
    gateway: RunningGateway, task_ids: Any, tasks: bool, code: int
) -> None:
    answer = await modern(gateway, "subscriptions/listen", tasks=tasks, notifications={"taskIds": task_ids})
    assert answer["error"]["code"] == code


async def test_nobody_else_has_the_task(gateway: RunningGateway, server: TaskServer) -> None:
    task = await start(gateway, "work")
    other = (await gateway.parts.keys.create(1, "other", ["all"])).key
    forged = task["taskId"][:-4] + "AAAA"
    for key, task_id in ((other, task["taskId"]), (None, forged), (None, "task-1"), (None, "x" * 9_000)):
        answer = await modern(gateway, "tasks/get", key=key, taskId=task_id)
        assert answer["error"]["code"] == -32602
    await gateway.parts.servers.set_enabled(1, server.id, False)
    assert (await modern(gateway, "tasks/get", taskId=task["taskId"]))["error"]["code"] == -32602


async def test_who_does_not_know_tasks_is_told_what_is_needed(gateway: RunningGateway, server: TaskServer) -> None:
    needed: dict[str, Any] = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
    called = await modern(gateway, "tools/call", tasks=False, name="tasks__work", arguments={})
    assert (called["error"]["code"], called["error"]["data"]) == (-32021, needed)
    at_once = await modern(gateway, "tools/call", tasks=False, name="tasks__now", arguments={})
    assert at_once["result"]["content"][0]["text"] == "at once"
    task = await start(gateway, "work")
    for method in ("tasks/get", "tasks/update", "tasks/cancel"):
        answer = await modern(gateway, method, tasks=False, taskId=task["taskId"])
        assert (answer["error"]["code"], answer["error"]["data"]) == (-32021, needed)
    assert (await gateway.request("tasks/get", {"taskId": task["taskId"]}))["error"]["code"] == -32601


async def test_the_header_has_to_name_the_task(gateway: RunningGateway, server: TaskServer) -> None:
    answer = await modern(gateway, "tasks/get", taskId="a", name="b")
    assert answer["error"]["code"] == -32020


async def test_the_extension_is_offered_to_the_modern_era_alone(gateway: RunningGateway, connect: Connect) -> None:
    offered = (await modern(gateway, "server/discover"))["result"]["capabilities"]
    assert offered["extensions"] == {EXTENSION: {}}
    async with connect(HANDSHAKE) as client:
        assert client.server_capabilities.extensions is None
