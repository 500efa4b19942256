"""tasks/get, tasks/update and tasks/cancel, for clients that know tasks."""

from __future__ import annotations

from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, METHOD_NOT_FOUND

from gateway.audit.call_log import CallLog
from gateway.catalog.server import Servers
from gateway.database.pool import Database
from gateway.downstream.client_request import ClientRequest, Result
from gateway.downstream.methods.tasks.task_capability import require_tasks
from gateway.downstream.methods.tasks.task_ids import TaskIds
from gateway.downstream.methods.upstream_forwarder import UpstreamForwarder
from gateway.downstream.result_limit import ResultLimit
from gateway.errors import NotFoundError

TASK_METHODS = ("tasks/get", "tasks/update", "tasks/cancel")


class TaskMethods:
    """Passes them on to the server whose task it is, for as long as the caller may call the tool."""

    def __init__(
        self,
        database: Database,
        servers: Servers,
        forwarder: UpstreamForwarder,
        task_ids: TaskIds,
        limit: ResultLimit,
        call_log: CallLog,
    ) -> None:
        self._database = database
        self._servers = servers
        self._forwarder = forwarder
        self._task_ids = task_ids
        self._limit = limit
        self._call_log = call_log

    async def handle(self, request: ClientRequest) -> Result:
        """What the server says of the task, under the id that the caller knows; its result is limited as any is.

        Raises MCPError for an id that is none of the caller's, for a client that does not know tasks, and for what the
        server refuses.
        """
        if request.era != "modern":
            raise MCPError(code=METHOD_NOT_FOUND, message=f"There is no method {request.method} in this protocol.")
        require_tasks(request)
        task_id = request.params.get("taskId")
        task = self._task_ids.resolve(request.caller, task_id)
        caller = request.caller
        allowed = (
            await self._database.fetch("result_tools", caller.tenant_id, list(caller.role_ids), [task.tool_id])
            if task is not None
            else []
        )
        if task is None or not allowed:
            raise _no_such_task()
        async with self._call_log.call(caller, allowed[0]["exposed_name"], {"method": request.method}) as logged:
            try:
                spec = await self._servers.spec(caller.tenant_id, task.server_id)
            except NotFoundError:
                raise _no_such_task() from None
            logged.set_tool(task.tool_id, task.server_id, spec.name)
            params = {**request.params, "taskId": task.id}
            result = await self._forwarder.forward(request, spec, request.method, params, logged)
            logged.set_outcome("ok")
        return self._for_client(result, task_id) if request.method == "tasks/get" else result

    def _for_client(self, result: dict[str, Any], task_id: Any) -> dict[str, Any]:
        shown = {**result, "taskId": task_id}
        if isinstance(result.get("result"), dict):
            shown["result"] = self._limit.apply(result["result"]).value
        return shown


def _no_such_task() -> MCPError:
    return MCPError(code=INVALID_PARAMS, message="There is no such task, or not any more; make the call anew.")
