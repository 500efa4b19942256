"""Calls of handshake servers held open for modern clients, while these answer what the server asks.

A handshake server asks in the middle of a call and waits; a modern client gets the question as the result of its
request, and comes back with the answer in another one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from gateway.access.connections.named_person import identity_at
from gateway.downstream.client_request import ClientRequest
from gateway.downstream.methods.client_requests import check_capability, question_error, timeout_error
from gateway.json_codec import Message
from gateway.upstream.spec import ServerSpec

_MAXIMUM_CALLS = 1_000
_MAXIMUM_PER_CALLER = 100

CallerKey: TypeAlias = "tuple[int, int, str, str]"
"""Tenant, key, issuer and subject: whose calls are counted together, whichever endpoint they are made at."""


@dataclass(slots=True, eq=False)
class PendingCall:
    """One upstream call; `request` is the one that waits for it, or waited last while the call is `suspended`.

    `questions` are what the server has asked, by key, each with the future that takes the client's answer.
    """

    request: ClientRequest
    suspended: bool = False
    question_asked: asyncio.Event = field(default_factory=asyncio.Event)
    questions: dict[str, tuple[Message, asyncio.Future[Message]]] = field(default_factory=dict)
    task: asyncio.Task[Message] | None = None
    question_count: int = 0

    @property
    def waiting_request(self) -> ClientRequest | None:
        """Who is told what the server says meanwhile: None between two requests of the client."""
        return None if self.suspended else self.request

    @property
    def unanswered(self) -> dict[str, Message]:
        """The questions that the client is to answer, by key."""
        return {key: question for key, (question, answer) in self.questions.items() if not answer.done()}

    def cancel(self) -> None:
        """End the call; its server is told."""
        if self.task is not None:
            self.task.cancel()


@dataclass(frozen=True, slots=True)
class _Suspended:
    """A call between two requests of its client, who has to be the same and to ask for the same then."""

    call: PendingCall
    identity: str
    target: tuple[int, str]
    timer: asyncio.TimerHandle

    @property
    def caller_key(self) -> CallerKey:
        return _caller_key(self.call.request)


class PendingCalls:
    """Keeps at most 1,000 calls that wait for answers, 100 of one caller, each for a limited time.

    A pending call takes one of the places that its server has for calls, so one caller may have half of these.
    """

    def __init__(self, timeout_seconds: float, hold: Callable[[str], str] = str) -> None:
        """A client has `timeout_seconds` to come back with its answers, to the process that `hold` names in states."""
        self._timeout_seconds = timeout_seconds
        # Its own: a server may be a ModelGate, too, whose states pass through this one.
        self._state_prefix = hold(f"modelgate.{secrets.token_urlsafe(12)}.")
        self._suspended: dict[str, _Suspended] = {}

    def is_resumed_by(self, request: ClientRequest) -> bool:
        """Whether the request brings the answers for a call that was suspended here."""
        state = request.params.get("requestState")
        return isinstance(state, str) and state.startswith(self._state_prefix)

    async def run(
        self, request: ClientRequest, spec: ServerSpec, target: str, start: Callable[[PendingCall], Awaitable[Message]]
    ) -> Message:
        """Run the call that `start` makes until it has ended, or its server asks: then the result says what.

        A request that brings answers goes on with the call it belongs to. `target` is what is called of the server of
        `spec`, and has to be the same then. Raises MCPError for a state that is not known any more, where too many
        calls are pending, and what the call raises.
        """
        if self.is_resumed_by(request):
            call = self._resume(request, spec, target)
        else:
            call = PendingCall(request)
            call.task = asyncio.ensure_future(start(call))
            # What a call ends with that its client has left is nobody's concern.
            call.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        assert call.task is not None
        while not call.task.done():
            await _wait_for_question(call, call.task)
            if not call.task.done() and call.unanswered:
                return self._suspend(request, spec, target, call)
            call.question_asked.clear()
        return call.task.result()

    async def ask(self, call: PendingCall, method: str, params: Message) -> Message:
        """Keep the call until the client has answered. Raises MCPError where it cannot be asked, or does not answer."""
        check_capability(call.request, method, params)
        call.question_count += 1
        key = f"question-{call.question_count}"
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        call.questions[key] = ({"method": method, **({"params": params} if params else {})}, answer)
        call.question_asked.set()
        try:
            return await asyncio.wait_for(answer, self._timeout_seconds)
        except asyncio.TimeoutError:
            raise timeout_error(method, self._timeout_seconds) from None
        finally:
            call.questions.pop(key, None)

    def close(self) -> None:
        """End every call that is suspended."""
        for suspended in self._suspended.values():
            suspended.timer.cancel()
            suspended.call.cancel()
        self._suspended.clear()

    def _suspend(self, request: ClientRequest, spec: ServerSpec, target: str, call: PendingCall) -> Message:
        try:
            self._check_limits(request, spec)
        except MCPError:
            call.cancel()
            raise
        state = self._state_prefix + secrets.token_urlsafe(24)
        timer = asyncio.get_running_loop().call_later(self._timeout_seconds, self._expire, state)
        self._suspended[state] = _Suspended(call, identity_at(request.caller, spec), (spec.id, target), timer)
        # Nobody awaits the call meanwhile: what it ends with is looked at when the client comes back.
        call.suspended = True
        call.question_asked.clear()
        return {"resultType": "input_required", "inputRequests": call.unanswered, "requestState": state}

    def _check_limits(self, request: ClientRequest, spec: ServerSpec) -> None:
        key = _caller_key(request)
        of_caller = [suspended for suspended in self._suspended.values() if suspended.caller_key == key]
        at_server = sum(suspended.target[0] == spec.id for suspended in of_caller)
        share = max(1, spec.max_calls // 2)
        if at_server >= share or len(of_caller) >= _MAXIMUM_PER_CALLER:
            many, where = (at_server, f" to server {spec.name}") if at_server >= share else (len(of_caller), "")
            raise MCPError(
                code=INTERNAL_ERROR,
                message=f"{many} of your calls{where} wait for your answers to what was asked, as many as may; answer "
                "one, or let it lapse, then make this call anew.",
            )
        if len(self._suspended) >= _MAXIMUM_CALLS:
            raise MCPError(code=INTERNAL_ERROR, message="Too many calls wait for answers of clients; try again later.")

    def _resume(self, request: ClientRequest, spec: ServerSpec, target: str) -> PendingCall:
        state: str = request.params["requestState"]
        suspended = self._suspended.get(state)
        whose = identity_at(request.caller, spec), (spec.id, target)
        if suspended is None or (suspended.identity, suspended.target) != whose:
            raise question_error(
                code=INVALID_PARAMS, message="No call waits for this requestState any more; make the call anew."
            )
        del self._suspended[state]
        suspended.timer.cancel()
        call = suspended.call
        call.request, call.suspended = request, False
        responses = request.params.get("inputResponses")
        for key, (_, answer) in call.questions.items():
            response = responses.get(key) if isinstance(responses, Mapping) else None
            if answer.done():
                continue
            if isinstance(response, Mapping):
                answer.set_result(dict(response))
            else:
                # Without its answer the question is still open: it is put again.
                call.question_asked.set()
        return call

    def _expire(self, state: str) -> None:
        self._suspended.pop(state).call.cancel()


def _caller_key(request: ClientRequest) -> CallerKey:
    caller = request.caller
    return caller.tenant_id, caller.key_id, caller.issuer, caller.subject


async def _wait_for_question(call: PendingCall, task: asyncio.Task[Message]) -> None:
    """Wait until the call has ended or its server asks; a client that leaves ends the call."""
    asked = asyncio.ensure_future(call.question_asked.wait())
    try:
        await asyncio.wait((task, asked), return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        task.cancel()
        raise
    finally:
        asked.cancel()
