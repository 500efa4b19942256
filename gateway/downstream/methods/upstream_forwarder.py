"""One request on its way to an upstream server and back, with all that goes between them meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from gateway.access.connections.caller_requests import CallerRequests
from gateway.access.connections.named_person import audited_person
from gateway.audit.call_log import LoggedUse
from gateway.downstream.client_request import ClientRequest
from gateway.downstream.methods.client_requests import (
    CAPABILITY_OF_METHOD,
    ClientRequests,
    question_error,
    unsupported_error,
)
from gateway.downstream.methods.connections.connection_questions import ConnectionQuestions, without_answer
from gateway.downstream.methods.era_results import without_modern_parts
from gateway.downstream.methods.pending_calls import PendingCall, PendingCalls
from gateway.downstream.methods.tasks.task_capability import with_tasks
from gateway.downstream.methods.tasks.task_wait import TaskWait
from gateway.downstream.result_limit import bounded_error
from gateway.errors import ConnectionNeededError, UpstreamReplyError
from gateway.json_codec import check_sendable
from gateway.upstream.request import CallHooks, UpstreamRequest
from gateway.upstream.spec import ServerSpec

_MAXIMUM_INPUT_ROUNDS = 32
_RETRY_PARAMS = ("inputResponses", "requestState")

CallContext: TypeAlias = Callable[[], contextlib.AbstractAsyncContextManager[None]]
"""What a call is made inside of: entered where it begins, left where it ends."""


class UpstreamForwarder:
    """Passes requests on as they are: progress, log messages and questions reach the client that made them."""

    def __init__(
        self,
        requests: CallerRequests,
        client_requests: ClientRequests,
        pending_calls: PendingCalls,
        task_wait: TaskWait,
        connection_questions: ConnectionQuestions,
    ) -> None:
        self._requests = requests
        self._connection_questions = connection_questions
        self._task_wait = task_wait
        self._client_requests = client_requests
        self._pending_calls = pending_calls

    def resumes(self, request: ClientRequest) -> bool:
        """Whether the request goes on with a call that is pending here, whatever arguments it brings."""
        return request.era == "modern" and self._pending_calls.is_resumed_by(request)

    async def forward(
        self,
        request: ClientRequest,
        spec: ServerSpec,
        method: str,
        params: Mapping[str, Any],
        logged: LoggedUse,
        call_context: CallContext = contextlib.nullcontext,
    ) -> Any:
        """The upstream's result, untouched but for what clients of another era do not know.

        Nothing goes out before `logged` lets it. The call is made inside of `call_context()`, which a call that is
        pending while its client answers a question does not leave before it has ended.

        Raises MCPError for a JSON-RPC error of the upstream, with its own code, message and data; UpstreamError for
        what keeps the upstream from answering, ConnectionNeededError where its person has to connect the server first
        and the client takes no question about it; AuditUnavailableError for what has to be recorded and cannot be.
        """
        try:
            check_sendable(params)
        except ValueError as error:
            raise MCPError(code=INVALID_PARAMS, message=f"params cannot be passed on as JSON: {error}.") from None
        if self._connection_questions.is_answer(request):
            await self._connection_questions.settle(request, spec)
            request = replace(request, params=without_answer(request.params))
            params = without_answer(params)
        logged.set_person(audited_person(request.caller, spec))
        await logged.start()
        try:
            return await self._forward(request, spec, method, params, call_context)
        except ConnectionNeededError as needed:
            return await self._connection_questions.ask(request, spec, needed)

    async def _forward(
        self,
        request: ClientRequest,
        spec: ServerSpec,
        method: str,
        params: Mapping[str, Any],
        call_context: CallContext,
    ) -> Any:
        try:
            if request.era == "modern":
                return await self._forward_for_modern(request, spec, method, params, call_context)
            async with call_context():
                upstream = self._upstream_request(request, method, params)
                result = await self._forward_with_input(request, spec, upstream)
                if method == "tools/call" and result.get("resultType") == "task":
                    result = await self._task_wait.result(request, spec, result)
            return without_modern_parts(result, request.era)
        except UpstreamReplyError as error:
            refusal = bounded_error(error.code, error.message, error.data)
            if any(name in params for name in _RETRY_PARAMS):
                # It is about the state that the client came back with, not about the arguments.
                raise question_error(refusal.error.code, refusal.error.message, refusal.error.data) from None
            raise refusal from None

    async def _forward_with_input(self, request: ClientRequest, spec: ServerSpec, upstream: UpstreamRequest) -> Any:
        """What a modern server asks in its result is put to a client that is asked in the middle of its call."""
        result = await self._requests.request(request.caller, spec, upstream)
        for _ in range(_MAXIMUM_INPUT_ROUNDS):
            if result.get("resultType") != "input_required":
                return result
            if request.ask_client is None:
                raise unsupported_error("anything in a single request; call in a session")
            params = {key: value for key, value in (upstream.params or {}).items() if key not in _RETRY_PARAMS}
            params |= await self._client_requests.answer_input_requests(request, result)
            upstream = replace(upstream, params=params)
            result = await self._requests.request(request.caller, spec, upstream)
        raise MCPError(
            code=INTERNAL_ERROR, message=f"Server {spec.name} asked {_MAXIMUM_INPUT_ROUNDS} times and is not done."
        )

    async def _forward_for_modern(
        self,
        request: ClientRequest,
        spec: ServerSpec,
        method: str,
        params: Mapping[str, Any],
        call_context: CallContext,
    ) -> Any:
        askable = any(name in request.capabilities for name in CAPABILITY_OF_METHOD.values())
        if not askable and not self._pending_calls.is_resumed_by(request):
            async with call_context():
                return await self._requests.request(
                    request.caller, spec, self._upstream_request(request, method, params)
                )

        async def start(call: PendingCall) -> dict[str, Any]:
            async with call_context():
                return await self._requests.request(
                    request.caller, spec, self._upstream_request(request, method, params, call)
                )

        return await self._pending_calls.run(
            request, spec, f"{method}:{params.get('name') or params.get('uri')}", start
        )

    def _upstream_request(
        self, request: ClientRequest, method: str, params: Mapping[str, Any], call: PendingCall | None = None
    ) -> UpstreamRequest:
        """What the server is asked for `request`; the hooks reach whoever waits for `call`, where it is pending."""

        async def report_progress(done: float, total: float | None, message: str | None) -> None:
            waiting = call.waiting_request if call is not None else request
            if waiting is not None and waiting.on_progress is not None:
                await waiting.on_progress(done, total, message)

        async def notify(notification: str, about: dict[str, Any]) -> None:
            waiting = call.waiting_request if call is not None else request
            if waiting is not None and waiting.on_notification is not None:
                await waiting.on_notification(notification, about)

        async def ask(question: str, about: dict[str, Any]) -> dict[str, Any]:
            if call is not None:
                return await self._pending_calls.ask(call, question, about)
            return await self._client_requests.send(request, question, about)

        return UpstreamRequest(
            method,
            params,
            session_key=request.upstream_session_key,
            hooks=CallHooks(
                on_progress=report_progress if request.on_progress is not None else None,
                on_notification=notify if request.on_notification is not None else None,
                on_server_request=ask,
            ),
            capabilities=_offered_capabilities(request, method),
        )


def _offered_capabilities(request: ClientRequest, method: str) -> dict[str, Any]:
    """What a server may count on: of a modern client what it says, of others that their calls wait for a task."""
    if request.era == "modern" or method != "tools/call":
        return dict(request.capabilities)
    return with_tasks(request.capabilities)
