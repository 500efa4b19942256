"""tasks/get, tasks/update and tasks/cancel, for clients that know tasks."""

from __future__ import annotations

import contextlib
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, METHOD_NOT_FOUND

from gateway.audit.call_log import CallLog
from gateway.downstream.client_request import ClientRequest, Result
from gateway.downstream.methods.tasks.approval_tasks import ApprovalTasks
from gateway.downstream.methods.tasks.caller_tasks import CallerTasks
from gateway.downstream.methods.tasks.task_capability import require_tasks
from gateway.downstream.methods.upstream_forwarder import UpstreamForwarder

TASK_METHODS = ("tasks/get", "tasks/update", "tasks/cancel")


class TaskMethods:
    """Passes them on to the server whose task it is, for as long as the caller may call the tool. Those of calls that
    wait for a person are the gateway's own.
    """

    def __init__(
        self, tasks: CallerTasks, approval_tasks: ApprovalTasks, forwarder: UpstreamForwarder, call_log: CallLog
    ) -> None:
        self._tasks = tasks
        self._approval_tasks = approval_tasks
        self._forwarder = forwarder
        self._call_log = call_log

    async def handle(self, request: ClientRequest) -> Result:
        """What the server says of the task, under the id that the caller knows; its result is limited as any is.

        Raises MCPError for an id that is none of the caller's, for a client that does not know tasks, and for what the
        server refuses.
        """
        if request.era != "modern":
            raise MCPError(code=METHOD_NOT_FOUND, message=f"There is no method {request.method} in this protocol.")
        require_tasks(request.capabilities, request.method)
        approval = await self._approval_tasks.find(request.caller, request.params.get("taskId"))
        if approval is not None:
            if request.method == "tasks/get":
                return await self._approval_tasks.state(request.caller, approval)
            if request.method == "tasks/cancel":
                await self._approval_tasks.cancel(approval)
            return {}
        task = await self._tasks.find(request.caller, request.params.get("taskId"))
        if task is None:
            raise _no_such_task()
        async with self._call_log.call(request.caller, task.exposed_name, {"method": request.method}) as logged:
            logged.set_tool(task.upstream.tool_id, task.upstream.server_id, task.spec.name)
            params = {**request.params, "taskId": task.upstream.id}
            result: dict[str, Any] = await self._forwarder.forward(request, task.spec, request.method, params, logged)
            logged.set_outcome("ok")
            if request.method != "tasks/get":
                return result
            same = contextlib.nullcontext(logged)
            return await self._tasks.for_client(request.caller, task, result, lambda: same)


def _no_such_task() -> MCPError:
    return MCPError(code=INVALID_PARAMS, message="There is no such task, or not any more; make the call anew.")
