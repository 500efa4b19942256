"""Calls of upstream tools: resolved by name, passed on, answered as the upstream answers."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.access.caller import Caller
from gateway.access.limits import Limiter
from gateway.access.tool_names import NamedTool, tools_by_name
from gateway.audit.call_log import CallLog
from gateway.catalog.naming import READ_RESULT
from gateway.catalog.server import Servers
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.downstream.client_request import ClientRequest, Result
from gateway.downstream.jsonrpc import LIMIT_EXCEEDED
from gateway.downstream.methods.argument_error import is_argument_error, with_input_schema
from gateway.downstream.methods.client_requests import is_question_error
from gateway.downstream.methods.kept_results import KeptResults
from gateway.downstream.methods.tasks.task_ids import TaskIds, UpstreamTask
from gateway.downstream.methods.upstream_forwarder import UpstreamForwarder
from gateway.downstream.result_limit import ResultLimit
from gateway.downstream.serialized_result import SerializedResult
from gateway.downstream.tool_result import error_result
from gateway.errors import DatabaseError, LimitError, NotFoundError, UpstreamError

logger = logging.getLogger(__name__)

_SHOWN_CHARACTERS = 100
_MOST_LISTED = 20
_HEADER_KEYWORD = "x-mcp-header"


@dataclass(frozen=True, slots=True)
class CallableTool:
    """A tool as a call needs it: the upstream's own name, and its schema where clients repeat arguments in headers."""

    id: int
    server_id: int
    name: str
    mirrored_schema: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Resolved:
    """What a name means to a caller: the tool that may be called, else whether there is one that may not be.

    `several` are the exposed names of tools that all have this name as their own.
    """

    tool: CallableTool | None
    denied: bool = False
    several: tuple[str, ...] = ()


class ToolRelay:
    """Passes calls on to upstream servers."""

    def __init__(
        self,
        database: Database,
        notices: Notices,
        servers: Servers,
        forwarder: UpstreamForwarder,
        limit: ResultLimit,
        call_log: CallLog,
        limiter: Limiter,
        kept_results: KeptResults,
        task_ids: TaskIds,
    ) -> None:
        self._database = database
        self._tools: NotifiedCache[tuple[tuple[int, ...], str], _Resolved] = NotifiedCache(notices)
        self._servers = servers
        self._forwarder = forwarder
        self._limit = limit
        self._call_log = call_log
        self._limiter = limiter
        self._kept_results = kept_results
        self._task_ids = task_ids

    async def call(self, request: ClientRequest, name: str, arguments: Mapping[str, Any]) -> Result:
        """The upstream's result for a tool, by any of its names; see `tools_by_name`.

        Raises MCPError where the tool is not there or not for this caller, which answers alike, and where the upstream
        answers with a JSON-RPC error, whose code and message it then has. An upstream that fails is a tool error: a
        result that the model can read. So is one that says that the arguments are wrong, followed by the tool's schema.
        """
        async with self._call_log.call(request.caller, name, arguments) as logged:
            resolved = await self._resolve(request.caller, name)
            tool = resolved.tool
            if tool is None:
                logged.set_outcome("denied" if resolved.denied else "unknown")
                raise _several_tools(name, resolved.several) if resolved.several else _no_such_tool(name)
            try:
                spec = await self._servers.spec(request.caller.tenant_id, tool.server_id)
            except NotFoundError:
                raise _no_such_tool(name) from None
            logged.set_tool(tool.id, tool.server_id, spec.name)
            params = {**request.params, "name": tool.name, "arguments": arguments}
            try:
                result = await self._forwarder.forward(
                    request, spec, "tools/call", params, logged, lambda: self._limiter.call_slot(request.caller)
                )
            except LimitError as error:
                logged.set_outcome("limited", error.message)
                raise MCPError(
                    code=LIMIT_EXCEEDED,
                    message=error.message,
                    data={"limit": error.limit, "retryAfter": error.retry_after},
                ) from None
            except UpstreamError as error:
                logged.set_outcome("failed", error.message)
                return error_result(error.message)
            except MCPError as error:
                if is_question_error(error) or not is_argument_error(error):
                    raise
                result = await self._with_input_schema(request.caller, tool, error)
            else:
                if is_argument_error(result):
                    result = await self._with_input_schema(request.caller, tool, result)
            if result.get("resultType") == "task":
                task = UpstreamTask(tool.server_id, tool.id, str(result.get("taskId")))
                result = {**result, "taskId": self._task_ids.issue(request.caller, task)}
            logged.set_outcome("tool error" if result.get("isError") else "ok")
            return await self._limited(request.caller, tool, _with_content(result))

    async def find(self, caller: Caller, name: str) -> CallableTool | None:
        """The tool that goes by `name`, where the caller may call it."""
        return (await self._resolve(caller, name)).tool

    async def _limited(self, caller: Caller, tool: CallableTool, result: dict[str, Any]) -> SerializedResult:
        """The result within its limit; the text that this leaves out is kept for the caller."""
        result_id = uuid.uuid4()
        texts: list[str] = []

        def keep(text: str, offset: int) -> str:
            texts.append(text)
            arguments = json.dumps({"id": str(result_id), "offset": offset})
            return f"For an hour the text can be read on with {READ_RESULT}, arguments {arguments}."

        limited = self._limit.apply(result, keep)
        for text in texts:
            try:
                await self._kept_results.keep(caller, tool.id, result_id, text)
            except DatabaseError as error:
                logger.warning("A result that was cut could not be kept: %s", error)
                return self._limit.apply(result)
        return limited

    async def _resolve(self, caller: Caller, name: str) -> _Resolved:
        return await self._tools.get(
            caller.tenant_id, (caller.role_ids, name), lambda: self._read(caller.tenant_id, caller.role_ids, name)
        )

    async def _read(self, tenant_id: int, role_ids: tuple[int, ...], name: str) -> _Resolved:
        tools = await tools_by_name(self._database, tenant_id, name, role_ids)
        named = [tool for tool in tools if not tool.own_name_only]
        for tool in named:
            if tool.visibility is not None:
                return _Resolved(_callable(tool))
        if named:
            return _Resolved(None, denied=True)
        own = [tool for tool in tools if tool.visibility is not None]
        if len(own) == 1:
            return _Resolved(_callable(own[0]))
        return _Resolved(None, denied=bool(tools) and not own, several=tuple(tool.exposed_name for tool in own))

    async def _with_input_schema(
        self, caller: Caller, tool: CallableTool, answer: MCPError | dict[str, Any]
    ) -> dict[str, Any]:
        """`answer` with the tool's schema, where that can be read."""
        try:
            rows = await self._database.fetch("result_tools", caller.tenant_id, list(caller.role_ids), [tool.id])
        except DatabaseError:
            rows = []
        for row in rows:
            return with_input_schema(answer, row["exposed_name"], row["input_schema"])
        if isinstance(answer, MCPError):
            raise answer
        return answer


def _with_content(result: dict[str, Any]) -> dict[str, Any]:
    """A result with the content that clients of all SDKs expect in one, and servers may leave out."""
    if isinstance(result.get("content"), list) or result.get("resultType", "complete") != "complete":
        return result
    return {**result, "content": []}


def _callable(tool: NamedTool) -> CallableTool:
    schema = json.loads(tool.definition)["inputSchema"] if _HEADER_KEYWORD in tool.definition else None
    return CallableTool(tool.id, tool.server_id, tool.name, schema)


def _several_tools(name: str, exposed_names: tuple[str, ...]) -> MCPError:
    listed = ", ".join(exposed_names[:_MOST_LISTED]) + (", …" if len(exposed_names) > _MOST_LISTED else "")
    return MCPError(
        code=INVALID_PARAMS,
        message=f"{len(exposed_names)} tools are called {_shown(name)}: {listed}; call one of them by this name.",
    )


def _no_such_tool(name: str) -> MCPError:
    return MCPError(
        code=INVALID_PARAMS, message=f"There is no tool {_shown(name)}; find the right name with tool_search."
    )


def _shown(name: str) -> str:
    return json.dumps(name[:_SHOWN_CHARACTERS], ensure_ascii=False).encode(errors="replace").decode()
