"""The suite's tools that run as tasks (SEP-2663), for the fixture."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, MISSING_REQUIRED_CLIENT_CAPABILITY

Message = dict[str, Any]
Context = ServerRequestContext[Any, Any]

EXTENSION = "io.modelcontextprotocol/tasks"
_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
_NAME: Message = {"type": "object", "properties": {"name": {"type": "string"}}}


def question(message: str, **properties: Message) -> Message:
    schema = {"type": "object", "properties": properties}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def said(text: str, *, is_error: bool = False) -> Message:
    return {"content": [{"type": "text", "text": text}], "isError": is_error, "resultType": "complete"}


@dataclass(eq=False)
class Task:
    """One task, and the questions that nobody has answered yet."""

    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    state: Message = field(default_factory=lambda: {"status": "working"})
    questions: dict[str, tuple[Message, asyncio.Future[Message]]] = field(default_factory=dict)
    work: asyncio.Task[None] | None = None
    created: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat())

    @property
    def is_over(self) -> bool:
        return self.state["status"] in ("completed", "failed", "cancelled")

    def shown(self) -> Message:
        state = self.state
        if self.questions and not self.is_over:
            asked = {key: each for key, (each, _) in self.questions.items()}
            state = {"status": "input_required", "inputRequests": asked}
        now = datetime.now(timezone.utc).isoformat()
        times = {"createdAt": self.created, "lastUpdatedAt": now}
        return {"taskId": self.id, **times, "ttlMs": 60_000, "pollIntervalMs": 100, **state}

    async def ask(self, key: str, each: Message) -> Message:
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self.questions[key] = (each, answer)
        return await answer


Work = Callable[[Task, Message], Awaitable[Message]]


async def slow_compute(task: Task, arguments: Message) -> Message:
    await asyncio.sleep(float(arguments.get("seconds", 0)))
    return said("computed")


async def failing_job(task: Task, arguments: Message) -> Message:
    await asyncio.sleep(1)
    return said("the job has failed", is_error=True)


async def protocol_error_job(task: Task, arguments: Message) -> Message:
    raise MCPError(code=INTERNAL_ERROR, message="the job broke down")


async def confirm_delete(task: Task, arguments: Message) -> Message:
    answer = await task.ask("confirm", question("Delete it?", confirm={"type": "boolean"}))
    return said(f"{answer.get('action')}: {answer.get('content')}")


async def multi_input(task: Task, arguments: Message) -> Message:
    first, second = (question(f"The {each} name?", name={"type": "string"}) for each in ("first", "second"))
    answers = await asyncio.gather(task.ask("first", first), task.ask("second", second))
    return said(str([answer.get("content") for answer in answers]))


async def greet_later(task: Task, arguments: Message) -> Message:
    return said(f"Hello, {arguments.get('user_name')}!")


WORK: dict[str, Work] = {
    "slow_compute": slow_compute,
    "failing_job": failing_job,
    "protocol_error_job": protocol_error_job,
    "confirm_delete": confirm_delete,
    "multi_input": multi_input,
    "test_tool_with_task": greet_later,
}
REQUIRED = ("failing_job", "test_tool_with_task")
"""Tools that cannot be called but as tasks; the others wait where the client does not know them."""


class Tasks:
    """The tasks of the fixture, answered ahead of the SDK, which knows none."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}

    async def middleware(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        params = dict(ctx.params or {})
        if ctx.method == "tools/call" and params.get("name") in WORK:
            return await self._call(params["name"], params)
        if ctx.method in ("tasks/get", "tasks/update", "tasks/cancel"):
            return self._about(ctx.method, params)
        return await call_next(ctx)

    async def _call(self, name: str, params: Message) -> Message:
        arguments = params.get("arguments") or {}
        takes_tasks = EXTENSION in params.get("_meta", {}).get(_CAPABILITIES, {}).get("extensions", {})
        if not takes_tasks and name in REQUIRED:
            data: Message = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
            raise MCPError(code=MISSING_REQUIRED_CLIENT_CAPABILITY, message="tasks are needed", data=data)
        if name == "test_tool_with_task":
            answer = (params.get("inputResponses") or {}).get("user_name")
            if not isinstance(answer, dict):
                asked = {"user_name": question("Your name?", name={"type": "string"})}
                return {"resultType": "input_required", "inputRequests": asked, "requestState": "of-the-name"}
            arguments = {"user_name": next(iter((answer.get("content") or {}).values()), "nobody")}
        task = Task()
        if not takes_tasks:
            return await WORK[name](task, arguments)
        self._tasks[task.id] = task
        task.work = asyncio.create_task(self._run(task, WORK[name], arguments))
        return {"resultType": "task", **task.shown()}

    async def _run(self, task: Task, work: Work, arguments: Message) -> None:
        try:
            task.state = {"status": "completed", "result": await work(task, arguments)}
        except MCPError as error:
            task.state = {"status": "failed", "error": error.error.model_dump(exclude_none=True)}

    def _about(self, method: str, params: Message) -> Message:
        task = self._tasks.get(str(params.get("taskId")))
        if task is None:
            raise MCPError(code=INVALID_PARAMS, message="There is no such task.")
        if method == "tasks/get":
            return {"resultType": "complete", **task.shown()}
        if method == "tasks/cancel" and not task.is_over:
            if task.work is not None:
                task.work.cancel()
            task.state = {"status": "cancelled"}
        for key, answer in (params.get("inputResponses") or {}).items():
            if key in task.questions:
                task.questions.pop(key)[1].set_result(answer)
        return {"resultType": "complete"}
