"""Telling clients that listen how their tasks go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.access.caller import Caller
from gateway.access.connections.caller_requests import CallerRequests
from gateway.audit.call_log import CallLog
from gateway.backoff import Backoff
from gateway.downstream.methods.tasks.approval_tasks import ApprovalTasks
from gateway.downstream.methods.tasks.caller_tasks import CallerTask, CallerTasks
from gateway.downstream.methods.tasks.task_capability import with_tasks
from gateway.downstream.methods.tasks.task_wait import poll_seconds
from gateway.errors import DatabaseError, ModelGateError, UpstreamReplyError
from gateway.upstream.request import UpstreamRequest

logger = logging.getLogger(__name__)

_MAX_TASKS = 100
_MIN_POLL_SECONDS = 0.2
_RETRY = Backoff(first_seconds=1.0, longest_seconds=30.0)
_ENDED = ("completed", "failed", "cancelled")
_WATCHED = ("status", "statusMessage", "inputRequests")

OnTask = Callable[[dict[str, Any]], Awaitable[None]]
"""Takes the state of a task as tasks/get has it for the client."""


class TaskWatch:
    """Asks servers for tasks on behalf of clients, as often as the servers wish, and passes on what is new.

    So clients hear of the tasks of every server, whether it would tell of them itself or not.
    """

    def __init__(
        self, tasks: CallerTasks, approval_tasks: ApprovalTasks, requests: CallerRequests, call_log: CallLog
    ) -> None:
        self._tasks = tasks
        self._approval_tasks = approval_tasks
        self._requests = requests
        self._call_log = call_log

    async def find(self, caller: Caller, task_ids: Collection[str]) -> tuple[str, ...]:
        """Those of the ids by which `caller` knows a task. Raises MCPError for more than a stream may be about."""
        if len(task_ids) > _MAX_TASKS:
            raise MCPError(
                code=INVALID_PARAMS,
                message=f"params.notifications.taskIds has {len(task_ids):,} ids, more than the {_MAX_TASKS} that one "
                "stream may be about; leave some out.",
            )
        return tuple([task_id for task_id in task_ids if await self._is_known(caller, task_id)])

    async def watch(
        self, get_caller: Callable[[], Caller], session_key: str, task_ids: Collection[str], on_task: OnTask
    ) -> None:
        """Pass on how each task is now and each change, until all have ended or cannot be asked for any more."""
        await asyncio.gather(*(self._watch(get_caller, session_key, task_id, on_task) for task_id in task_ids))

    async def _is_known(self, caller: Caller, task_id: str) -> bool:
        if await self._approval_tasks.find(caller, task_id) is not None:
            return True
        return await self._tasks.find(caller, task_id) is not None

    async def _watch(self, get_caller: Callable[[], Caller], session_key: str, task_id: str, on_task: OnTask) -> None:
        known: dict[str, Any] | None = None
        failures = 0
        is_logged = False
        while True:
            try:
                caller = get_caller()
                approval = await self._approval_tasks.find(caller, task_id)
                if approval is not None:
                    await self._approval_tasks.follow(get_caller, approval, on_task)
                    return
                task = await self._tasks.find(caller, task_id)
                if task is None:
                    return
                if not is_logged:
                    await self._log(caller, task)
                    is_logged = True
                state = await self._ask(caller, task, session_key)
            except UpstreamReplyError as error:
                logger.debug("a task is not watched any more: %s", error)
                return
            except ModelGateError as error:
                logger.debug("a task cannot be asked for at the moment: %s", error)
                failures += 1
                await asyncio.sleep(_RETRY.delay(failures))
                continue
            failures = 0
            watched = {name: state.get(name) for name in _WATCHED}
            if watched != known:
                known = watched
                try:
                    shown = await self._tasks.for_client(
                        caller, task, state, partial(self._call_log.use, caller, "task.subscribe", task.exposed_name)
                    )
                except DatabaseError as error:
                    logger.debug("a task cannot be guarded at the moment: %s", error)
                    known = None
                    failures += 1
                    await asyncio.sleep(_RETRY.delay(failures))
                    continue
                await on_task(shown)
            if state.get("status") in _ENDED:
                return
            await asyncio.sleep(max(poll_seconds(state), _MIN_POLL_SECONDS))

    async def _log(self, caller: Caller, task: CallerTask) -> None:
        """Recorded once, before the server is asked for the first time."""
        async with self._call_log.use(caller, "task.subscribe", task.exposed_name) as logged:
            logged.set_server(task.spec.name)
            await logged.start()
            logged.set_outcome("ok")

    async def _ask(self, caller: Caller, task: CallerTask, session_key: str) -> dict[str, Any]:
        request = UpstreamRequest(
            "tasks/get", {"taskId": task.upstream.id}, session_key=session_key, capabilities=with_tasks({})
        )
        state = await self._requests.request(caller, task.spec, request)
        return {name: value for name, value in state.items() if name not in ("resultType", "_meta")}
