"""Calls of handshake servers held open for modern clients, while these answer what the server asks.

A handshake server asks in the middle of a call and waits; a modern client gets the question as the result of its
request, and comes back with the answer in another one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from gateway.downstream.client_request import ClientRequest
from gateway.downstream.methods.client_requests import check_askable, unanswered
from gateway.upstream.spec import ServerSpec

_MAXIMUM = 1_000
_MAXIMUM_OF_CALLER = 100

Message = dict[str, Any]
Who: TypeAlias = "tuple[int, int, str]"


@dataclass(slots=True, eq=False)
class PendingCall:
    """One upstream call; `exchange` is the request that waits for it, or waited last while the call is `parked`."""

    exchange: ClientRequest
    parked: bool = False
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    open: dict[str, tuple[Message, asyncio.Future[Message]]] = field(default_factory=dict)
    call: asyncio.Task[Message] | None = None
    number: int = 0

    @property
    def listener(self) -> ClientRequest | None:
        """Who hears what the server says meanwhile: None between two requests of the client."""
        return None if self.parked else self.exchange

    @property
    def unanswered(self) -> dict[str, Message]:
        """The questions that the client is to answer, by key."""
        return {key: question for key, (question, answered) in self.open.items() if not answered.done()}


@dataclass(frozen=True, slots=True)
class _Suspended:
    """A call between two requests of its client, who has to be the same and to ask for the same then."""

    held: PendingCall
    identity: str
    target: tuple[int, str]
    timer: asyncio.TimerHandle

    @property
    def who(self) -> Who:
        return _who(self.held.exchange)


class PendingCalls:
    """Keeps at most 1,000 calls that wait for answers, 100 of one caller, each for a limited time.

    A held call takes one of the places that its server has for calls, so one caller may hold half of these.
    """

    def __init__(self, seconds: float) -> None:
        """A client has `seconds` to come back with its answers."""
        self._seconds = seconds
        # Its own: a server may be a ModelGate, too, whose states pass through this one.
        self._mark = f"modelgate.{secrets.token_urlsafe(12)}."
        self._waiting: dict[str, _Suspended] = {}

    def concerns(self, exchange: ClientRequest) -> bool:
        """Whether the request brings the answers for a call that was held here."""
        state = exchange.params.get("requestState")
        return isinstance(state, str) and state.startswith(self._mark)

    async def run(
        self, exchange: ClientRequest, spec: ServerSpec, what: str, start: Callable[[PendingCall], Awaitable[Message]]
    ) -> Message:
        """Run the call that `start` makes until it has ended, or its server asks: then the result says what.

        A request that brings answers goes on with the call it belongs to. `what` is called of the server of `spec`, and
        is to be the same then. Raises MCPError for a state that is not known any more, where too many calls are held,
        and what the call raises.
        """
        if self.concerns(exchange):
            held = self._resume(exchange, (spec.id, what))
        else:
            held = PendingCall(exchange)
            held.call = asyncio.ensure_future(start(held))
            # What a call ends with that its client has left is nobody's concern.
            held.call.add_done_callback(lambda call: call.cancelled() or call.exception())
        assert held.call is not None
        while not held.call.done():
            await _stirred(held, held.call)
            if not held.call.done() and held.unanswered:
                return self._park(exchange, spec, what, held)
            held.asked.clear()
        return held.call.result()

    async def ask(self, held: PendingCall, method: str, params: Message) -> Message:
        """Hold the call until the client has answered. Raises MCPError where it cannot be asked, or does not answer."""
        check_askable(held.exchange, method, params)
        held.number += 1
        key = f"question-{held.number}"
        answered: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        held.open[key] = ({"method": method, **({"params": params} if params else {})}, answered)
        held.asked.set()
        try:
            return await asyncio.wait_for(answered, self._seconds)
        except asyncio.TimeoutError:
            raise unanswered(method, self._seconds) from None
        finally:
            held.open.pop(key, None)

    def close(self) -> None:
        """End every call that is held."""
        for parked in self._waiting.values():
            parked.timer.cancel()
            _end(parked.held)
        self._waiting.clear()

    def _park(self, exchange: ClientRequest, spec: ServerSpec, what: str, held: PendingCall) -> Message:
        try:
            self._make_sure_of_room(exchange, spec)
        except MCPError:
            _end(held)
            raise
        state = self._mark + secrets.token_urlsafe(24)
        timer = asyncio.get_running_loop().call_later(self._seconds, self._expire, state)
        self._waiting[state] = _Suspended(held, exchange.caller.identity, (spec.id, what), timer)
        # Nobody awaits the call meanwhile: what it ends with is looked at when the client comes back.
        held.parked = True
        held.asked.clear()
        return {"resultType": "input_required", "inputRequests": held.unanswered, "requestState": state}

    def _make_sure_of_room(self, exchange: ClientRequest, spec: ServerSpec) -> None:
        of_caller = [parked for parked in self._waiting.values() if parked.who == _who(exchange)]
        at_server = sum(parked.target[0] == spec.id for parked in of_caller)
        share = max(1, spec.max_calls // 2)
        if at_server >= share or len(of_caller) >= _MAXIMUM_OF_CALLER:
            many, where = (at_server, f" to server {spec.name}") if at_server >= share else (len(of_caller), "")
            raise MCPError(
                code=INTERNAL_ERROR,
                message=f"{many} of your calls{where} wait for your answers to what was asked, as many as may; answer "
                "one, or let it lapse, then make this call anew.",
            )
        if len(self._waiting) >= _MAXIMUM:
            raise MCPError(code=INTERNAL_ERROR, message="Too many calls wait for answers of clients; try again later.")

    def _resume(self, exchange: ClientRequest, target: tuple[int, str]) -> PendingCall:
        state: str = exchange.params["requestState"]
        parked = self._waiting.get(state)
        if parked is None or (parked.identity, parked.target) != (exchange.caller.identity, target):
            raise MCPError(
                code=INVALID_PARAMS, message="No call waits for this requestState any more; make the call anew."
            )
        del self._waiting[state]
        parked.timer.cancel()
        held = parked.held
        held.exchange, held.parked = exchange, False
        responses = exchange.params.get("inputResponses")
        for key, (_, answered) in held.open.items():
            response = responses.get(key) if isinstance(responses, Mapping) else None
            if answered.done():
                continue
            if isinstance(response, Mapping):
                answered.set_result(dict(response))
            else:
                # Without its answer the question is still open: it is put again.
                held.asked.set()
        return held

    def _expire(self, state: str) -> None:
        _end(self._waiting.pop(state).held)


def _who(exchange: ClientRequest) -> Who:
    """Whose calls are counted together, whichever endpoint they are made at."""
    caller = exchange.caller
    return caller.tenant_id, caller.key_id, caller.subject


async def _stirred(held: PendingCall, call: asyncio.Task[Message]) -> None:
    """Wait until the call has ended or its server asks; a client that leaves ends the call."""
    asked = asyncio.ensure_future(held.asked.wait())
    try:
        await asyncio.wait((call, asked), return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        call.cancel()
        raise
    finally:
        asked.cancel()


def _end(held: PendingCall) -> None:
    if held.call is not None:
        held.call.cancel()
