"""Tasks of calls that wait for a person: made once they are allowed, in the background, their results kept.

The id of a task is that of its approval.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from gateway.access.caller import Caller
from gateway.access.connections.named_person import identity_at
from gateway.catalog.servers.server import Servers
from gateway.downstream.client_request import ClientRequest, Result
from gateway.downstream.methods.approval_answer import approval_task, refused_result
from gateway.downstream.serialized_result import SerializedResult
from gateway.errors import ApprovalNotFoundError, DatabaseError, ModelGateError, NotFoundError
from gateway.guards.approval.approval_watch import ApprovalWatch
from gateway.guards.approval.call_approval import CallApproval
from gateway.guards.approval.call_approvals import RUN_SECONDS, CallApprovals
from gateway.task_set import TaskSet

logger = logging.getLogger(__name__)

_PREFIX = "ap_"
_FOLLOW_SECONDS = 5.0


class ApprovedCaller(Protocol):
    """Makes a call that was let through."""

    async def call_approved(
        self, request: ClientRequest, approval: CallApproval, arguments: Mapping[str, Any]
    ) -> Result: ...


class ApprovalTasks:
    """Says how such tasks stand, and makes their calls."""

    def __init__(
        self,
        approvals: CallApprovals,
        servers: Servers,
        watch: ApprovalWatch,
        relay: ApprovedCaller,
        public_url: str = "",
    ) -> None:
        self._approvals = approvals
        self._servers = servers
        self._watch = watch
        self._relay = relay
        self._public_url = public_url
        self._running = TaskSet()

    async def find(self, caller: Caller, task_id: object) -> CallApproval | None:
        """The approval whose task `caller` knows by this id; None where it is none. Raises DatabaseError."""
        if not isinstance(task_id, str) or not task_id.startswith(_PREFIX):
            return None
        with contextlib.suppress(ApprovalNotFoundError):
            approval = await self._approvals.get(caller.tenant_id, task_id)
            if approval.is_task and approval.caller == await self._identity_at(caller, approval):
                return approval
        return None

    async def _identity_at(self, caller: Caller, approval: CallApproval) -> str:
        try:
            return identity_at(caller, await self._servers.spec(caller.tenant_id, approval.server_id))
        except NotFoundError:
            return ""

    async def state(self, caller: Caller, approval: CallApproval) -> dict[str, Any]:
        """How the task stands, as tasks/get has it. The call is begun where it is allowed and was not yet."""
        if approval.state == "approved" and await self._approvals.begin_task(approval):
            self._running.spawn(self._run(caller, approval))
        if approval.state in ("approved", "used"):
            approval = await self._approvals.get(approval.tenant_id, approval.id)
        task = approval_task(approval, self._public_url)
        cancelled = {**task, "status": "cancelled", "statusMessage": f"Approval {approval.id} was withdrawn."}
        if approval.state == "withdrawn":
            return cancelled
        if approval.state in ("denied", "expired"):
            result = refused_result(approval)
            return {**task, "status": "completed", "statusMessage": result["content"][0]["text"], "result": result}
        if approval.is_done:
            outcome = await self._approvals.task_outcome(approval)
            if not outcome:
                return cancelled
            status = "failed" if "error" in outcome else "completed"
            message = outcome["error"]["message"] if "error" in outcome else f"{approval.tool_name} has answered."
            return {**task, "status": status, "statusMessage": message, **outcome}
        if approval.state == "used" and not approval.is_running:
            message = (
                "The gateway ended while the call was made; whether the server has done it is not known."
                if approval.is_begun
                else f"Another call used approval {approval.id}; make this one anew."
            )
            return {**task, "status": "failed", "statusMessage": message, "error": _error(message)}
        return task

    async def follow(
        self,
        get_caller: Callable[[], Caller],
        approval: CallApproval,
        on_task: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """Pass on how the task is now and each change, until it has ended. Raises ModelGateError."""
        known = None
        with self._watch.watching(approval) as signal:
            while True:
                approval = await self._approvals.get(approval.tenant_id, approval.id)
                state = await self.state(get_caller(), approval)
                if (state["status"], state["statusMessage"]) != known:
                    known = state["status"], state["statusMessage"]
                    await on_task(state)
                if state["status"] in ("completed", "failed", "cancelled"):
                    return
                await signal.wait(_FOLLOW_SECONDS)

    async def cancel(self, approval: CallApproval) -> None:
        """Withdraw what waits, and end what is being made, in whichever process."""
        await self._approvals.withdraw(approval)

    async def aclose(self) -> None:
        """End the calls that are being made."""
        await self._running.aclose()

    async def _run(self, caller: Caller, approval: CallApproval) -> None:
        """Make the call, and keep what came of it; whoever cancels its task ends it."""
        arguments = await self._approvals.arguments(approval)
        request = ClientRequest(caller, "tools/call", {"name": approval.tool_name, "arguments": arguments})
        call = asyncio.ensure_future(self._outcome(request, approval, arguments))
        try:
            with self._watch.watching(approval) as signal:
                while not call.done():
                    await signal.wait(RUN_SECONDS / 3)
                    with contextlib.suppress(DatabaseError):
                        await self._approvals.renew_task(approval)
                        if (await self._approvals.get(approval.tenant_id, approval.id)).is_cancelled:
                            call.cancel()
                            await asyncio.gather(call, return_exceptions=True)
        finally:
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)

    async def _outcome(self, request: ClientRequest, approval: CallApproval, arguments: Mapping[str, Any]) -> None:
        try:
            result = await self._relay.call_approved(request, approval, arguments)
            outcome = {"result": dict(result.value if isinstance(result, SerializedResult) else result)}
        except asyncio.CancelledError:
            await self._approvals.end_task(approval, {})
            raise
        except MCPError as error:
            data = {} if error.data is None else {"data": error.data}
            outcome = {"error": {"code": error.code, "message": error.message, **data}}
        except ModelGateError as error:
            outcome = {"error": _error(error.message)}
        except Exception:
            logger.exception("The call of approval %s failed.", approval.id)
            outcome = {"error": _error("Internal error; the gateway's log says more.")}
        await self._approvals.end_task(approval, outcome)


def _error(message: str) -> dict[str, Any]:
    return {"code": INTERNAL_ERROR, "message": message}
