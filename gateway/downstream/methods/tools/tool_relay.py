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
from gateway.access.connections.named_person import audited_person, named_person
from gateway.access.limits import Limiter
from gateway.access.tool_names import NamedTool, tools_by_name
from gateway.audit.call_log import CallLog, LoggedUse
from gateway.catalog.naming import READ_RESULT
from gateway.catalog.servers.server import Servers
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.downstream.client_request import ClientRequest, Result
from gateway.downstream.jsonrpc import LIMIT_EXCEEDED
from gateway.downstream.methods.approval_answer import changed_sentence
from gateway.downstream.methods.client_requests import is_question_error
from gateway.downstream.methods.connections.connection_questions import is_connection_question
from gateway.downstream.methods.result_store import ResultStore
from gateway.downstream.methods.tasks.task_ids import TaskIds, UpstreamTask
from gateway.downstream.methods.tools.approved_calls import ApprovedCalls
from gateway.downstream.methods.tools.argument_error import is_argument_error, with_input_schema
from gateway.downstream.methods.tools.callable_tool import CallableTool
from gateway.downstream.methods.tools.result_mending import mend_result
from gateway.downstream.methods.upstream_forwarder import UpstreamForwarder
from gateway.downstream.methods.use_guards import UseGuard, UseGuards
from gateway.downstream.result_limit import ResultLimit
from gateway.downstream.serialized_result import SerializedResult
from gateway.downstream.tool_result import error_result
from gateway.errors import (
    DatabaseError,
    GuardRefusedError,
    LimitError,
    NotFoundError,
    RequestNotSentError,
    UpstreamBusyError,
    UpstreamError,
)
from gateway.guards.approval.approval_policy import ApprovalPolicy
from gateway.guards.approval.call_approval import CallApproval
from gateway.search.learning.usage.use_learning import UseLearning
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_SHOWN_CHARACTERS = 100
_MAX_LISTED = 20
_HEADER_KEYWORD = "x-mcp-header"


@dataclass(frozen=True, slots=True)
class _Resolved:
    """What a name means to a caller: the tool that may be called, else whether there is one that may not be.

    `several` are the exposed names of tools that all have this name as their own. `disabled`: it could be called if it
    were not switched off.
    """

    tool: CallableTool | None
    denied: bool = False
    several: tuple[str, ...] = ()
    disabled: bool = False


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
        result_store: ResultStore,
        task_ids: TaskIds,
        guards: UseGuards,
        approval_policy: ApprovalPolicy,
        approved_calls: ApprovedCalls,
        learning: UseLearning | None = None,
    ) -> None:
        """`learning` is told of calls that went well."""
        self._database = database
        self._tools: NotifiedCache[tuple[tuple[int, ...], str], _Resolved] = NotifiedCache(notices)
        self._servers = servers
        self._forwarder = forwarder
        self._limit = limit
        self._call_log = call_log
        self._limiter = limiter
        self._result_store = result_store
        self._task_ids = task_ids
        self._guards = guards
        self._approval_policy = approval_policy
        self._approved_calls = approved_calls
        self._learning = learning

    async def call(self, request: ClientRequest, name: str, arguments: Mapping[str, Any]) -> Result:
        """The upstream's result for a tool, by any of its names; see `tools_by_name`.

        Raises MCPError where the tool is not there or not for this caller, which answers alike, and where the upstream
        answers with a JSON-RPC error, whose code and message it then has. An upstream that fails is a tool error: a
        result that the model can read. So is one that says that the arguments are wrong, followed by the tool's schema,
        a guard that refuses the call or withholds its result, and what a person has not allowed.
        """
        async with self._call_log.call(request.caller, name, arguments) as logged:
            resolved = await self._resolve(request.caller, name)
            tool = resolved.tool
            if tool is None:
                logged.set_outcome("denied" if resolved.denied else "unknown")
                if resolved.disabled:
                    raise _disabled_tool(name)
                raise _several_tools(name, resolved.several) if resolved.several else _no_such_tool(name)
            try:
                spec = await self._servers.spec(request.caller.tenant_id, tool.server_id)
            except NotFoundError:
                raise _no_such_tool(name) from None
            logged.set_tool(tool.id, tool.server_id, spec.name)
            logged.set_person(audited_person(request.caller, spec))
            guarded = await self._guarded(request.caller, tool, spec, logged)
            if guarded is not None:
                try:
                    arguments = await guarded.check_arguments(arguments)
                except GuardRefusedError as refusal:
                    return error_result(refusal.message)
            # What a person is asked about is what would go out.
            approval: CallApproval | None = None
            if tool.approval is not None and not self._forwarder.resumes(request):
                try:
                    admitted = await self._approved_calls.admit(
                        request, tool, spec, arguments, logged, lambda: self.find(request.caller, name)
                    )
                except LimitError as error:
                    raise _over_limit(error, logged) from None
                if isinstance(admitted, dict):
                    return admitted
                approval = admitted
            return await self._forward(request, tool, spec, arguments, logged, guarded, approval)

    async def call_approved(
        self, request: ClientRequest, approval: CallApproval, arguments: Mapping[str, Any]
    ) -> Result:
        """The result of a call that was let through with `approval`, whatever its tool is called by now.

        Raises as `call`, and MCPError where the tool or the rules about it are not as they were.
        """
        async with self._call_log.call(request.caller, approval.tool_name, arguments) as logged:
            tool = await self.find(request.caller, approval.tool_name)
            if tool is None:
                raise MCPError(code=INVALID_PARAMS, message=changed_sentence(approval))
            spec = await self._servers.spec(request.caller.tenant_id, tool.server_id)
            logged.set_tool(tool.id, tool.server_id, spec.name)
            logged.set_person(audited_person(request.caller, spec))
            guarded = await self._guarded(request.caller, tool, spec, logged)
            if guarded is not None:
                try:
                    arguments = await guarded.check_arguments(arguments)
                except GuardRefusedError as refusal:
                    return error_result(refusal.message)
            binding = tool.bind(request.caller, spec, arguments)
            if binding is None or binding.digest != approval.binding:
                raise MCPError(code=INVALID_PARAMS, message=changed_sentence(approval))
            return await self._forward(request, tool, spec, arguments, logged, guarded, approval)

    async def _guarded(
        self, caller: Caller, tool: CallableTool, spec: ServerSpec, logged: LoggedUse
    ) -> UseGuard | None:
        return await self._guards.of_tool(
            caller, tool.server_id, spec.name, tool.id, tool.exposed_name, tool.category, logged
        )

    async def _forward(
        self,
        request: ClientRequest,
        tool: CallableTool,
        spec: ServerSpec,
        arguments: Mapping[str, Any],
        logged: LoggedUse,
        guarded: UseGuard | None,
        approval: CallApproval | None,
    ) -> Result:
        params = {**request.params, "name": tool.name, "arguments": arguments}
        try:
            # Mended before it is looked at: nothing that clients are given goes past guards and the trace.
            result = mend_result(
                await self._forwarder.forward(
                    request, spec, "tools/call", params, logged, lambda: self._limiter.call_slot(request.caller)
                )
            )
        except LimitError as error:
            await self._give_back(approval)
            raise _over_limit(error, logged) from None
        except UpstreamError as error:
            if isinstance(error, (UpstreamBusyError, RequestNotSentError)) or is_connection_question(error):
                await self._give_back(approval)
            logged.set_outcome("failed", error.message)
            return error_result(error.message)
        except MCPError as error:
            if is_connection_question(error):
                await self._give_back(approval)
                raise
            if is_question_error(error) or not is_argument_error(error):
                if guarded is None:
                    raise
                try:
                    error = await guarded.check_error(error)
                except GuardRefusedError as refusal:
                    return error_result(refusal.message)
                raise error from None
            result = await self._with_input_schema(request.caller, tool, error)
        else:
            if approval is not None:
                await self._approved_calls.note_result(approval, result)
            if is_argument_error(result):
                result = await self._with_input_schema(request.caller, tool, result)
        if result.get("resultType") == "task":
            task = UpstreamTask(tool.server_id, tool.id, str(result.get("taskId")), named_person(request.caller, spec))
            result = {**result, "taskId": self._task_ids.issue(request.caller, task)}
        if guarded is not None:
            try:
                result = await guarded.check_result(result)
            except GuardRefusedError as refusal:
                return error_result(refusal.message)
        else:
            logged.set_result(result)
        if self._learning is not None and _is_done(result):
            self._learning.record_call(request.caller, request.upstream_session_key, tool.id)
        return await self._limited(request.caller, tool, spec, result)

    async def _give_back(self, approval: CallApproval | None) -> None:
        if approval is not None:
            await self._approved_calls.release(approval)

    async def find(self, caller: Caller, name: str) -> CallableTool | None:
        """The tool that goes by `name`, where the caller may call it."""
        return (await self._resolve(caller, name)).tool

    async def _limited(
        self, caller: Caller, tool: CallableTool, spec: ServerSpec, result: dict[str, Any]
    ) -> SerializedResult:
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
                await self._result_store.store(caller, spec, tool.id, result_id, text)
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
                return _Resolved(await self._callable(tenant_id, role_ids, tool))
        if named:
            return _Resolved(None, denied=True, disabled=any(tool.disabled for tool in named))
        own = [tool for tool in tools if tool.visibility is not None]
        if len(own) == 1:
            return _Resolved(await self._callable(tenant_id, role_ids, own[0]))
        several = tuple(tool.exposed_name for tool in own)
        disabled = not own and any(tool.disabled for tool in tools)
        return _Resolved(None, denied=bool(tools) and not own, several=several, disabled=disabled)

    async def _callable(self, tenant_id: int, role_ids: tuple[int, ...], tool: NamedTool) -> CallableTool:
        schema = json.loads(tool.definition)["inputSchema"] if _HEADER_KEYWORD in tool.definition else None
        approval = await self._approval_policy.requirement(tenant_id, role_ids, tool)
        return CallableTool(tool.id, tool.server_id, tool.name, tool.exposed_name, tool.category, schema, approval)

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


def _is_done(result: Mapping[str, Any]) -> bool:
    """Whether the tool has done what it was called for, as far as it says."""
    return not result.get("isError") and result.get("resultType", "complete") == "complete"


def _over_limit(error: LimitError, logged: LoggedUse) -> MCPError:
    logged.set_outcome("limited", error.message)
    return MCPError(
        code=LIMIT_EXCEEDED, message=error.message, data={"limit": error.limit, "retryAfter": error.retry_after}
    )


def _several_tools(name: str, exposed_names: tuple[str, ...]) -> MCPError:
    listed = ", ".join(exposed_names[:_MAX_LISTED]) + (", …" if len(exposed_names) > _MAX_LISTED else "")
    return MCPError(
        code=INVALID_PARAMS,
        message=f"{len(exposed_names)} tools are called {_shown(name)}: {listed}; call one of them by this name.",
    )


def _disabled_tool(name: str) -> MCPError:
    return MCPError(
        code=INVALID_PARAMS,
        message=f"The tool {_shown(name)} is switched off by an administrator; find another one with tool_search.",
    )


def _no_such_tool(name: str) -> MCPError:
    return MCPError(
        code=INVALID_PARAMS, message=f"There is no tool {_shown(name)}; find the right name with tool_search."
    )


def _shown(name: str) -> str:
    return json.dumps(name[:_SHOWN_CHARACTERS], ensure_ascii=False).encode(errors="replace").decode()
