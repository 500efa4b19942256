"""Tasks by the ids that callers know them by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from gateway.access.caller import Caller
from gateway.access.connections.named_person import named_person
from gateway.audit.call_log import LoggedUse
from gateway.catalog.servers.server import Servers
from gateway.database.pool import Database
from gateway.downstream.jsonrpc import GUARD_REFUSED
from gateway.downstream.methods.tasks.task_ids import TaskIds, UpstreamTask
from gateway.downstream.methods.use_guards import UseGuards
from gateway.downstream.result_limit import ResultLimit
from gateway.downstream.tool_result import error_result
from gateway.errors import GuardRefusedError, NotFoundError
from gateway.upstream.spec import ServerSpec


@dataclass(frozen=True, slots=True)
class CallerTask:
    """A task of a caller, the exposed name of the tool that was called, and the server that knows of it."""

    client_id: str
    upstream: UpstreamTask
    exposed_name: str
    category: str
    spec: ServerSpec


class CallerTasks:
    """Finds tasks for as long as their callers may call the tools."""

    def __init__(
        self, database: Database, servers: Servers, task_ids: TaskIds, limit: ResultLimit, guards: UseGuards
    ) -> None:
        self._database = database
        self._servers = servers
        self._task_ids = task_ids
        self._limit = limit
        self._guards = guards

    async def find(self, caller: Caller, task_id: object) -> CallerTask | None:
        """The task that `caller` knows by this id; None where there is none, or not any more. Raises DatabaseError."""
        task = self._task_ids.resolve(caller, task_id)
        if task is None:
            return None
        allowed = await self._database.fetch("result_tools", caller.tenant_id, list(caller.role_ids), [task.tool_id])
        try:
            spec = await self._servers.spec(caller.tenant_id, task.server_id)
        except NotFoundError:
            return None
        if named_person(caller, spec) != task.named:
            return None
        return (
            CallerTask(str(task_id), task, allowed[0]["exposed_name"], allowed[0]["category"], spec)
            if allowed
            else None
        )

    async def for_client(
        self,
        caller: Caller,
        task: CallerTask,
        state: dict[str, Any],
        log: Callable[[], AbstractAsyncContextManager[LoggedUse]],
    ) -> dict[str, Any]:
        """What the server says of the task, under the client's id; its result, or error, is guarded and limited as any.

        One that a guard withholds is a tool error that says so. `log` is entered where guards have looked at a result.
        Raises DatabaseError.
        """
        shown = {**state, "taskId": task.client_id}
        result = state.get("result")
        if isinstance(result, dict):
            shown["result"] = self._limit.apply(await self._guarded(caller, task, result, log)).value
        error = state.get("error")
        if isinstance(error, dict) and await self._guards.any(caller):
            shown |= await self._guarded_error(caller, task, state, error, log)
        return shown

    async def _guarded(
        self,
        caller: Caller,
        task: CallerTask,
        result: dict[str, Any],
        log: Callable[[], AbstractAsyncContextManager[LoggedUse]],
    ) -> dict[str, Any]:
        if not await self._guards.any(caller):
            return result
        called, server = task.upstream, task.spec.name
        async with log() as logged:
            guarded = await self._guards.of_tool(
                caller, called.server_id, server, called.tool_id, task.exposed_name, task.category, logged
            )
            try:
                return result if guarded is None else await guarded.check_result(result)
            except GuardRefusedError as refusal:
                return error_result(refusal.message)

    async def _guarded_error(
        self,
        caller: Caller,
        task: CallerTask,
        state: Mapping[str, Any],
        error: Mapping[str, Any],
        log: Callable[[], AbstractAsyncContextManager[LoggedUse]],
    ) -> dict[str, Any]:
        """The error of a task that failed, and the message beside it, which says the same where there is one."""
        code, called = error.get("code"), task.upstream
        given = MCPError(
            code=code if isinstance(code, int) else INTERNAL_ERROR,
            message="\n".join(str(said) for said in (error.get("message"), state.get("statusMessage")) if said),
            data=error.get("data"),
        )
        async with log() as logged:
            guarded = await self._guards.of_tool(
                caller, called.server_id, task.spec.name, called.tool_id, task.exposed_name, task.category, logged
            )
            try:
                checked = given if guarded is None else await guarded.check_error(given)
            except GuardRefusedError as refusal:
                checked = MCPError(code=GUARD_REFUSED, message=refusal.message)
        if checked is given:
            return {}
        data = {} if checked.error.data is None else {"data": checked.error.data}
        message = {"statusMessage": checked.error.message} if "statusMessage" in state else {}
        return {**message, "error": {"code": checked.error.code, "message": checked.error.message, **data}}
