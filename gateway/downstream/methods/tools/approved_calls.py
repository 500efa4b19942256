"""Calls that wait for a person before anything goes out: held here, outside of every limit of calls and servers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.access.connections.named_person import shown_person
from gateway.audit.call_log import LoggedUse
from gateway.downstream.client_request import ClientRequest
from gateway.downstream.methods.approval_answer import (
    approval_task,
    changed_result,
    changed_sentence,
    refused_result,
    waiting_result,
    waiting_sentence,
)
from gateway.downstream.methods.tasks.task_capability import knows_tasks
from gateway.downstream.methods.tools.callable_tool import CallableTool
from gateway.downstream.tool_result import error_result
from gateway.errors import ApprovalNotFoundError, DatabaseError, InvalidInputError
from gateway.guards.approval.approval_watch import ApprovalSignal, ApprovalWatch
from gateway.guards.approval.call_approval import CallApproval, CallBinding
from gateway.guards.approval.call_approvals import CallApprovals
from gateway.settings import ApprovalSettings
from gateway.telemetry.metrics import Metrics
from gateway.upstream.spec import ServerSpec

RETRY_PARAMS = ("inputResponses", "requestState")

_PROGRESS_SECONDS = 10.0

ResolveTool = Callable[[], Awaitable[CallableTool | None]]
"""The tool as it is by now; None where the caller may not call it any more."""


class ApprovedCalls:
    """Lets calls through that somebody has allowed, each once."""

    def __init__(
        self,
        approvals: CallApprovals,
        watch: ApprovalWatch,
        settings: ApprovalSettings,
        metrics: Metrics,
        max_waiting: int,
        public_url: str,
    ) -> None:
        """Of more than `max_waiting` calls that wait in this process the others hear at once that they have to.

        People reach the gateway at `public_url`, empty where none is set.
        """
        self._approvals = approvals
        self._watch = watch
        self._settings = settings
        self._metrics = metrics
        self._max_waiting = max_waiting
        self._public_url = public_url

    async def admit(
        self,
        request: ClientRequest,
        tool: CallableTool,
        spec: ServerSpec,
        arguments: Mapping[str, Any],
        logged: LoggedUse,
        resolve: ResolveTool,
    ) -> CallApproval | dict[str, Any]:
        """The approval with which the call may be made now, and only now; else the result that its client gets.

        Raises LimitError where too many calls of the caller wait, and DatabaseError.
        """
        try:
            binding = tool.bind(request.caller, spec, arguments)
        except InvalidInputError as error:
            logged.set_outcome("invalid", error.message)
            return error_result(error.message)
        assert binding is not None
        if any(name in request.params for name in RETRY_PARAMS):
            resumed = await self._approvals.resume(binding, request.params.get("requestState"))
            if resumed is not None:
                return resumed
        started = time.perf_counter()
        outcome = "left"
        try:
            approval, answer = await self._wait(request, tool, binding, spec, arguments, resolve)
            if answer is None:
                outcome = "approved"
                return approval
            outcome = _outcome(approval, answer)
            logged.set_outcome("denied", str(answer.get("statusMessage") or answer["content"][0]["text"]))
            return answer
        finally:
            seconds = time.perf_counter() - started
            logged.exclude(seconds)
            self._metrics.observe_approval_wait(outcome, seconds)

    async def note_result(self, approval: CallApproval, result: Mapping[str, Any]) -> None:
        """Where the server has asked something, let the client come back with the answer."""
        if result.get("resultType") == "input_required":
            await self._approvals.await_resume(approval, result.get("requestState"))

    async def release(self, approval: CallApproval) -> None:
        """The call was certainly not made: it may be tried again."""
        with contextlib.suppress(DatabaseError):
            await self._approvals.release(approval)

    async def _wait(
        self,
        request: ClientRequest,
        tool: CallableTool,
        binding: CallBinding,
        spec: ServerSpec,
        arguments: Mapping[str, Any],
        resolve: ResolveTool,
    ) -> tuple[CallApproval, dict[str, Any] | None]:
        """The approval, and what the client hears; None where the call may be made."""
        assert tool.approval is not None
        as_task = request.era == "modern" and knows_tasks(request.capabilities)
        patience = self._settings.decide_seconds if request.on_progress is not None else self._settings.wait_seconds
        deadline = time.monotonic() + (0.0 if as_task or self._watch.waiting >= self._max_waiting else patience)
        while True:
            approval = await self._approvals.request(
                request.caller,
                binding,
                tool.approval,
                spec.name,
                arguments,
                is_task=as_task,
                asked_by=shown_person(request.caller, spec),
            )
            try:
                with self._watch.watching(approval) as signal:
                    approval = await self._until_decided(request, approval, signal, deadline)
            except ApprovalNotFoundError:
                # It went with its tool, or its server.
                return approval, changed_result(approval)
            if approval.state == "asked":
                if as_task:
                    return approval, {"resultType": "task", **approval_task(approval, self._public_url)}
                return approval, waiting_result(approval, self._public_url)
            if approval.state == "approved":
                current = await resolve()
                if current is None or current.bind(request.caller, spec, arguments) != binding:
                    return approval, changed_result(approval)
                if await self._approvals.consume(approval):
                    return approval, None
            elif approval.state != "used":
                return approval, refused_result(approval)
            # An equal call of the same caller was let through with it; this one takes another.

    async def _until_decided(
        self, request: ClientRequest, approval: CallApproval, signal: ApprovalSignal, deadline: float
    ) -> CallApproval:
        """The approval once it is decided, or as it is at the deadline, or when the gateway stops."""
        approval = await self._approvals.get(approval.tenant_id, approval.id)
        steps, told_at = 0, -_PROGRESS_SECONDS
        while approval.waits and not self._watch.is_closed:
            now = time.monotonic()
            if now >= deadline:
                break
            if request.on_progress is not None and now - told_at >= _PROGRESS_SECONDS:
                steps, told_at = steps + 1, now
                await request.on_progress(steps, None, waiting_sentence(approval, self._public_url))
            await signal.wait(min(deadline - now, _PROGRESS_SECONDS))
            # Who waits does so through a restart of the database.
            with contextlib.suppress(DatabaseError):
                approval = await self._approvals.get(approval.tenant_id, approval.id)
        return approval


def _outcome(approval: CallApproval, answer: Mapping[str, Any]) -> str:
    """What a call that was not let through heard."""
    if "taskId" in answer:
        return "task"
    return "changed" if changed_sentence(approval) in str(answer) else approval.state
