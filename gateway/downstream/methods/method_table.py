"""What the gateway answers to each MCP method, the same in both protocol eras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.catalog.naming import READ_RESULT, TOOL_CALL, TOOL_SEARCH
from gateway.downstream.client_request import ClientRequest, MethodHandler, Result
from gateway.downstream.lists.tool_list import ToolList
from gateway.downstream.methods.completion import Completion
from gateway.downstream.methods.prompts import Prompts
from gateway.downstream.methods.read_result import ReadResult
from gateway.downstream.methods.resources import Resources
from gateway.downstream.methods.task_methods import TASK_METHODS, TaskMethods
from gateway.downstream.methods.tools.tool_arguments import parse_call_arguments
from gateway.downstream.methods.tools.tool_relay import ToolRelay
from gateway.downstream.methods.tools.tool_search import ToolSearch
from gateway.downstream.tool_result import error_result
from gateway.errors import InvalidInputError
from gateway.telemetry.trace_context import parse_trace_context
from gateway.telemetry.tracing import Tracing

_SHOWN_CHARACTERS = 100


class MethodTable:
    """The handlers of methods by name."""

    def __init__(
        self,
        tool_search: ToolSearch,
        tool_list: ToolList,
        tool_relay: ToolRelay,
        prompts: Prompts,
        resources: Resources,
        completion: Completion,
        read_result: ReadResult,
        tasks: TaskMethods,
        tracing: Tracing,
    ) -> None:
        self._tool_search = tool_search
        self._tool_list = tool_list
        self._tool_relay = tool_relay
        self._read_result = read_result
        self._tracing = tracing
        handlers: dict[str, MethodHandler] = {
            "ping": self._ping,
            "tools/list": self._list_tools,
            "tools/call": self._call_tool,
            "prompts/list": prompts.list_prompts,
            "prompts/get": prompts.get,
            "resources/list": resources.list_resources,
            "resources/templates/list": resources.list_templates,
            "resources/read": resources.read,
            "completion/complete": completion.complete,
            **dict.fromkeys(TASK_METHODS, tasks.handle),
        }
        self._handlers = {method: self._traced(handler) for method, handler in handlers.items()}

    def get(self, method: str) -> MethodHandler | None:
        """What answers `method`, None where nothing does."""
        return self._handlers.get(method)

    def _traced(self, handler: MethodHandler) -> MethodHandler:
        """`handler` in a span of its own, below that which the message names or else the HTTP request."""

        async def handle(request: ClientRequest) -> Result:
            meta = request.params.get("_meta")
            parent = parse_trace_context(meta) if isinstance(meta, Mapping) else None
            target = request.params.get("name")
            named = f" {target[:_SHOWN_CHARACTERS]}" if isinstance(target, str) else ""
            attributes = {"mcp.method.name": request.method, "modelgate.era": request.era}
            with self._tracing.message(f"{request.method}{named}", attributes, parent):
                return await handler(request)

        return handle

    async def _ping(self, request: ClientRequest) -> Result:
        return {}

    async def _list_tools(self, request: ClientRequest) -> Result:
        return await self._tool_list.page(request.caller, request.params.get("cursor"))

    async def _call_tool(self, request: ClientRequest) -> Result:
        name = request.params.get("name")
        if not isinstance(name, str):
            raise MCPError(code=INVALID_PARAMS, message="params.name has to be the name of a tool.")
        arguments: Any = request.params.get("arguments")
        if arguments is None:
            arguments = {}
        if not isinstance(arguments, Mapping):
            raise MCPError(code=INVALID_PARAMS, message="params.arguments has to be an object.")
        if name == TOOL_SEARCH:
            return await self._tool_search.call(request, arguments)
        if name == TOOL_CALL:
            try:
                name, arguments = parse_call_arguments(arguments)
            except InvalidInputError as error:
                return error_result(error.message)
            if name in (TOOL_SEARCH, TOOL_CALL):
                return error_result(f"{name} is one of the gateway's own tools; call it directly.")
        if name == READ_RESULT:
            return await self._read_result.call(request.caller, arguments)
        return await self._tool_relay.call(request, name, arguments)
