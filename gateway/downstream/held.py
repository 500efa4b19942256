"""Calls of handshake servers held open for modern clients, while these answer what the server asks.

A handshake server asks in the middle of a call and waits; a modern client gets the question as the result of its
request, and comes back with the answer in another one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from gateway.downstream.exchange import Exchange
from gateway.downstream.questions import check_askable, unanswered

_MARK = "modelgate."
_MAXIMUM = 1_000

Message = dict[str, Any]


@dataclass(slots=True, eq=False)
class HeldCall:
    """One upstream call; `exchange` is the request that waits for it now, None between two requests of the client."""

    exchange: Exchange | None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    open: dict[str, tuple[Message, asyncio.Future[Message]]] = field(default_factory=dict)
    call: asyncio.Task[Message] | None = None
    number: int = 0


class HeldCalls:
    """Keeps at most 1,000 calls that wait for answers, each for a limited time."""

    def __init__(self, seconds: float) -> None:
        """A client has `seconds` to come back with its answers."""
        self._seconds = seconds
        self._waiting: dict[str, tuple[HeldCall, str, str, asyncio.TimerHandle]] = {}

    def concerns(self, exchange: Exchange) -> bool:
        """Whether the request brings the answers for a call that was held here."""
        state = exchange.params.get("requestState")
        return isinstance(state, str) and state.startswith(_MARK)

    async def run(
        self, exchange: Exchange, server_key: str, start: Callable[[HeldCall], Awaitable[Message]]
    ) -> Message:
        """Run the call that `start` makes until it has ended, or its server asks: then the result says what.

        A request that brings answers goes on with the call it belongs to. `server_key` names what is called, and is to
        be the same then. Raises MCPError for a state that is not known any more, and what the call raises.
        """
        if self.concerns(exchange):
            held = self._resume(exchange, server_key, exchange.params["requestState"])
        else:
            held = HeldCall(exchange)
            held.call = asyncio.ensure_future(start(held))
            # What a call ends with that its client has left is nobody's concern.
            held.call.add_done_callback(lambda call: call.cancelled() or call.exception())
        assert held.call is not None
        asked = asyncio.ensure_future(held.asked.wait())
        try:
            await asyncio.wait((held.call, asked), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            held.call.cancel()
            raise
        finally:
            asked.cancel()
        if held.call.done():
            return held.call.result()
        return self._park(exchange, server_key, held)

    async def ask(self, held: HeldCall, method: str, params: Message) -> Message:
        """Hold the call until the client has answered. Raises MCPError where it cannot be asked, or does not answer."""
        exchange = held.exchange
        if exchange is None:
            raise MCPError(code=INTERNAL_ERROR, message="The client is answering another question; ask again later.")
        check_askable(exchange, method, params)
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
        for held, _, _, timer in self._waiting.values():
            timer.cancel()
            if held.call is not None:
                held.call.cancel()
        self._waiting.clear()

    def _park(self, exchange: Exchange, server_key: str, held: HeldCall) -> Message:
        assert held.call is not None
        if len(self._waiting) >= _MAXIMUM:
            held.call.cancel()
            raise MCPError(code=INTERNAL_ERROR, message="Too many calls wait for answers of clients; try again later.")
        state = _MARK + secrets.token_urlsafe(24)
        timer = asyncio.get_running_loop().call_later(self._seconds, self._expire, state)
        self._waiting[state] = (held, exchange.caller.identity, server_key, timer)
        # Nobody awaits the call meanwhile: what it ends with is looked at when the client comes back.
        held.exchange = None
        held.asked.clear()
        return {
            "resultType": "input_required",
            "inputRequests": {key: question for key, (question, _) in held.open.items()},
            "requestState": state,
        }

    def _resume(self, exchange: Exchange, server_key: str, state: str) -> HeldCall:
        held, identity, parked_for, timer = self._waiting.get(state, (None, "", "", None))
        if held is None or timer is None or (identity, parked_for) != (exchange.caller.identity, server_key):
            raise MCPError(
                code=INVALID_PARAMS, message="No call waits for this requestState any more; make the call anew."
            )
        del self._waiting[state]
        timer.cancel()
        held.exchange = exchange
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
        held, *_ = self._waiting.pop(state)
        if held.call is not None:
            held.call.cancel()
