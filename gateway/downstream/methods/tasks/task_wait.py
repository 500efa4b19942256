"""Waiting for a task, on behalf of a client that knows results only."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from gateway.access.connections.caller_requests import CallerRequests
from gateway.downstream.client_request import ClientRequest
from gateway.downstream.methods.client_requests import ClientRequests, question_error
from gateway.downstream.methods.tasks.task_capability import with_tasks
from gateway.downstream.result_limit import bounded_error
from gateway.errors import UpstreamError, UpstreamProtocolError, UpstreamReplyError, UpstreamTimeoutError
from gateway.json_codec import Message
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_DEFAULT_POLL_MS = 1_000
_SHORTEST_SECONDS = 0.05
_LONGEST_SECONDS = 30.0
_CANCEL_SECONDS = 5.0


class TaskWait:
    """Asks a server for its tasks until they have ended."""

    def __init__(self, requests: CallerRequests, client_requests: ClientRequests, max_seconds: float) -> None:
        """A task may take `max_seconds`, as any call may with progress."""
        self._requests = requests
        self._client_requests = client_requests
        self._max_seconds = max_seconds

    async def result(self, request: ClientRequest, spec: ServerSpec, created: Message) -> Message:
        """The result of the call that `created` is the task of; its client hears of progress and is asked meanwhile.

        Where nobody waits any more the server is told. Raises MCPError for a task that failed or was cancelled,
        UpstreamError where the server does not answer, or not within the time.
        """
        task_id = created.get("taskId")
        if not isinstance(task_id, str):
            raise UpstreamProtocolError(spec.name, f"Server {spec.name} made a task without an id; update it.")
        try:
            return await self._poll(request, spec, task_id, created)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._cancel(request, spec, task_id)
            raise

    async def _poll(self, request: ClientRequest, spec: ServerSpec, task_id: str, task: Message) -> Message:
        deadline = time.monotonic() + self._max_seconds
        answered: set[str] = set()
        said, steps = None, 0
        while True:
            status = task.get("status")
            if status == "completed":
                result = task.get("result")
                if not isinstance(result, dict):
                    raise UpstreamProtocolError(
                        spec.name, f"Server {spec.name} completed a task without a result; update it."
                    )
                return result
            if status == "failed":
                raise _failure(task.get("error"), task.get("statusMessage"))
            if status == "cancelled":
                raise MCPError(code=INTERNAL_ERROR, message=f"Server {spec.name} has cancelled the task.")
            if status == "input_required":
                await self._answer(request, spec, task_id, task, answered)
            message = task.get("statusMessage")
            if request.on_progress is not None and isinstance(message, str) and message != said:
                said, steps = message, steps + 1
                await request.on_progress(steps, None, message)
            if time.monotonic() > deadline:
                raise UpstreamTimeoutError(
                    spec.name,
                    f"Server {spec.name} did not end a task within {self._max_seconds:.3g} s, which is as long as any "
                    "call may take; ask it for less at once, or raise upstream.max_call_seconds.",
                )
            await asyncio.sleep(poll_seconds(task))
            task = await self._ask(request, spec, "tasks/get", {"taskId": task_id})

    async def _answer(
        self, request: ClientRequest, spec: ServerSpec, task_id: str, task: Message, answered: set[str]
    ) -> None:
        """Put to the client what the server asks and has not asked before."""
        asked = task.get("inputRequests")
        new = {key: each for key, each in asked.items() if key not in answered} if isinstance(asked, Mapping) else {}
        if not new:
            return
        answered.update(new)
        added = await self._client_requests.answer_input_requests(request, {"inputRequests": new})
        await self._ask(request, spec, "tasks/update", {"taskId": task_id, **added})

    async def _cancel(self, request: ClientRequest, spec: ServerSpec, task_id: str) -> None:
        with anyio.move_on_after(_CANCEL_SECONDS):
            try:
                await self._ask(request, spec, "tasks/cancel", {"taskId": task_id})
            except (UpstreamError, MCPError) as error:
                logger.debug("a task of server %s could not be cancelled: %s", spec.name, error)

    async def _ask(self, request: ClientRequest, spec: ServerSpec, method: str, params: Message) -> Message:
        upstream = UpstreamRequest(
            method,
            params,
            session_key=request.upstream_session_key,
            capabilities=with_tasks(request.capabilities),
        )
        try:
            return await self._requests.request(request.caller, spec, upstream)
        except UpstreamReplyError as error:
            # It is about the task, and says nothing of the arguments of the call.
            raise question_error(code=INTERNAL_ERROR, message=f"The task was lost: {error.message}") from None


def poll_seconds(task: Mapping[str, Any]) -> float:
    """How long to wait before a server is asked for a task again, within bounds."""
    said = task.get("pollIntervalMs")
    milliseconds = said if isinstance(said, (int, float)) and not isinstance(said, bool) else _DEFAULT_POLL_MS
    return min(max(milliseconds / 1_000, _SHORTEST_SECONDS), _LONGEST_SECONDS)


def _failure(error: object, status_message: object) -> MCPError:
    said = error if isinstance(error, Mapping) else {}
    code, message = said.get("code"), said.get("message")
    if not isinstance(message, str):
        message = status_message if isinstance(status_message, str) else "The task has failed."
    whole = isinstance(code, int) and not isinstance(code, bool)
    return bounded_error(code if whole and isinstance(code, int) else INTERNAL_ERROR, message, said.get("data"))
