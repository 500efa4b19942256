"""One end of a JSON-RPC connection: requests are matched with replies, questions of the other end with answers."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from gateway.errors import (
    RequestNotSentError,
    TooDeepError,
    UpstreamDeadlineError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamReplyError,
    UpstreamTimeoutError,
)
from gateway.json_codec import Message
from gateway.upstream.message_decoder import PartialResult
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.rpc.call import Call
from gateway.upstream.rpc.cancelled_calls import CancelledCalls
from gateway.upstream.rpc.protocol_era import ProtocolEra
from gateway.upstream.transport import Transport, unreadable_answer_error

logger = logging.getLogger(__name__)

_CANCEL_SECONDS = 5.0
# Ids count calls of one session; Python refuses to read numbers of thousands of digits.
_ID_DIGITS = 18
# An error that names no request is taken as that of the only one, unless its reply comes within this time.
_UNNAMED_SECONDS = 1.0


class Peer:
    """The gateway's end of a connection to one server; the `MessageSink` of its transport.

    Nothing that a server sends can fill memory: replies nobody waits for are dropped, and notifications are either
    handed on at once or kept, up to a limit, for the call they belong to.
    """

    def __init__(
        self,
        server: str,
        *,
        exclusive: bool,
        call_timeout: float,
        max_call_seconds: float,
        on_notification: Callable[[str, Message], None],
        on_request: Callable[[Message, Call | None], None],
        on_closed: Callable[[UpstreamError], None],
        on_first_message: Callable[[], None],
        on_session_doubted: Callable[[], None],
    ) -> None:
        """`exclusive` says that all calls come from one caller, so that it may hear whatever the server says.
        `on_request` takes a question of the server, and the call it belongs to where that is known.

        `call_timeout` is that of requests that name none; no call takes more than `max_call_seconds`, or its timeout
        where that is more.
        """
        self._server = server
        self._exclusive = exclusive
        self._call_timeout = call_timeout
        self._max_call_seconds = max_call_seconds
        self._on_notification = on_notification
        self._on_request = on_request
        self._on_closed = on_closed
        self._on_first_message = on_first_message
        self._on_session_doubted = on_session_doubted
        self.answered = False
        """Whether the server has sent any message."""
        self._calls: dict[int, Call] = {}
        self._cancelled = CancelledCalls()
        self._last_id = 0
        self._ended: UpstreamError | None = None
        self._transport: Transport | None = None
        self._tasks: TaskGroup | None = None

    def attach(self, transport: Transport, tasks: TaskGroup) -> None:
        """Speak over `transport`; cancellations are sent from tasks of `tasks`."""
        self._transport = transport
        self._tasks = tasks

    @property
    def calls_in_flight(self) -> int:
        return sum(not call.request.is_listening for call in self._calls.values())

    @property
    def has_attributable_call(self) -> bool:
        """Whether there is a call in flight that a question of the server may be about."""
        return any(call.attributable for call in self._calls.values())

    async def request(
        self, request: UpstreamRequest, era: ProtocolEra, *, first_timeout: float | None = None
    ) -> Message:
        """Send a request as `era` has it, and return the result as the server gave it.

        The timeout starts anew with each progress notification, and when the person who is asked a question has
        answered it; `first_timeout`, in seconds, holds until then where it is shorter.
        Raises UpstreamReplyError for an error reply, UpstreamTimeoutError, UpstreamUnavailableError where the
        connection ends first (RequestNotSentError where it had ended before), UpstreamProtocolError for a reply without
        result.
        """
        self._last_id += 1
        call = Call(self._last_id, request)
        method = request.method
        timeout = self._call_timeout if request.timeout is None else request.timeout
        params, headers = era.encode(request)
        message = _to_message(call, params)
        transport = self._open_transport()
        loop = asyncio.get_running_loop()
        self._calls[call.id] = call
        sent = cut = False
        try:
            begun = loop.time()
            deadline = begun + (timeout if first_timeout is None else min(first_timeout, timeout))
            ceiling = max(self._max_call_seconds, timeout)
            with anyio.CancelScope(deadline=deadline):
                try:
                    await transport.send(message, headers)
                except TooDeepError:
                    raise UpstreamReplyError(
                        self._server,
                        INVALID_PARAMS,
                        f"What {method} gives server {self._server} is nested too deeply to be sent; flatten it.",
                    ) from None
                sent = True
            if sent:
                cut = await self._wait_settled(call, deadline, timeout, begun + ceiling)
            if call.error is not None:
                raise call.error.with_traceback(None)
            if call.reply is None:
                if cut:
                    raise UpstreamDeadlineError(
                        self._server,
                        f"Server {self._server} still worked on {method} after {ceiling:.4g} s, the longest that a "
                        "call may take; ask it for less at once, or raise upstream.max_call_seconds.",
                    )
                seconds = f"{timeout:.3g}"
                raise UpstreamTimeoutError(
                    self._server, f"Server {self._server} did not answer {method} within {seconds} s; try again later."
                )
            return call.reply
        finally:
            del self._calls[call.id]
            for scope in call.server_requests:
                scope.cancel()
            if sent and request.cancellable and not call.settled:
                self._give_up(call)

    async def _wait_settled(self, call: Call, deadline: float, timeout: float, ceiling: float) -> bool:
        """Wait until `call` is settled or overdue, running its hooks meanwhile. Returns whether it was cut short at
        `ceiling`, by the clock of the event loop.
        """
        loop = asyncio.get_running_loop()
        while not call.settled:
            until = min(deadline, ceiling)
            overdue = loop.call_at(until, call.changed.set) if math.isfinite(until) else None
            try:
                await call.changed.wait()
            finally:
                if overdue is not None:
                    overdue.cancel()
            now = loop.time()
            if call.active and now < ceiling:
                deadline = now + timeout
            elif now >= until:
                break
            call.changed.clear()
            await self._deliver(call, timeout)
        await self._deliver(call, timeout)
        return not call.settled and deadline > ceiling

    async def _deliver(self, call: Call, timeout: float) -> None:
        if not call.events:
            call.progressed = False
            return
        with anyio.CancelScope(deadline=asyncio.get_running_loop().time() + timeout) as hearing:
            await call.deliver_events()
        if hearing.cancelled_caught:
            # A caller that takes nothing in must not keep the call from its end.
            call.discard_events()
            logger.info("what server %s says in a call is not taken by its caller", self._server)

    async def notify(self, method: str, params: Message | None, headers: Mapping[str, str]) -> None:
        message: Message = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        await self._open_transport().send(message, headers)

    async def respond(self, request_id: object, outcome: Mapping[str, Any]) -> None:
        """Send `{"result": …}` or `{"error": …}` to a question; an ended connection needs none. Raises TooDeepError."""
        if self._ended is None:
            await self._open_transport().send({"jsonrpc": "2.0", "id": request_id, **outcome}, {})

    def message_received(self, message: object, related_id: int | None = None) -> bool:
        if isinstance(message, list):
            return bool(message) and all(self.message_received(part, related_id) for part in message)
        if not isinstance(message, dict):
            return False
        method = message.get("method")
        if not self.answered and (isinstance(method, str) or "result" in message or "error" in message):
            self.answered = True
            self._on_first_message()
        if isinstance(method, str):
            if not isinstance(message.get("params"), dict):
                message["params"] = {}
            if message.get("id") is None:
                self._handle_notification(method, message["params"], related_id)
            else:
                self._on_request(message, self._owning_call(related_id))
            return True
        if "result" not in message and "error" not in message:
            return False
        request_id = self._reply_id(message.get("id"), related_id)
        call = self._calls.get(request_id)
        if call is not None and message.get("id") is None and related_id is None and "result" not in message:
            # It may be about a notification, which some servers refuse, or of before: then the reply comes, too.
            # Of more than one the first is waited with, so that they do not fill memory.
            if not call.doubted:
                call.doubted = True
                asyncio.get_running_loop().call_later(_UNNAMED_SECONDS, self._settle_call, call, message)
        elif call is not None:
            self._settle_call(call, message)
        else:
            self._cancelled.remove(request_id)
        return True

    def request_failed(self, request_id: int, error: UpstreamError) -> None:
        call = self._calls.get(request_id)
        if call is not None:
            call.fail(error)

    def session_doubted(self) -> None:
        if self._ended is None:
            self._on_session_doubted()

    def connection_closed(self, error: UpstreamError) -> None:
        if self._ended is not None:
            return
        self._ended = error
        for call in self._calls.values():
            call.fail(error)
        self._on_closed(error)

    def _open_transport(self) -> Transport:
        if self._ended is not None or self._transport is None:
            raise RequestNotSentError(self._server, f"The connection to server {self._server} has ended; try again.")
        return self._transport

    def _settle_call(self, call: Call, message: Message) -> None:
        result, error = message.get("result"), message.get("error")
        if isinstance(result, PartialResult) and not call.request.method.endswith("/list"):
            call.fail(unreadable_answer_error(self._server, call.request.method))
        elif isinstance(result, dict):
            call.complete(result)
        elif isinstance(error, (dict, str)) and (refusal := self._refusal(error)) is not None:
            call.fail(refusal)
        else:
            call.fail(
                UpstreamProtocolError(
                    self._server, f"Server {self._server} gave a reply that is not MCP; it may need an update."
                )
            )

    def _refusal(self, error: Message | str) -> UpstreamReplyError | None:
        """An error of a reply; None for one that says nothing. Some servers give no code, or a text alone."""
        fields = error if isinstance(error, dict) else {"message": error}
        code, text, data = fields.get("code"), fields.get("message"), fields.get("data")
        if isinstance(code, int):
            return UpstreamReplyError(self._server, code, text if isinstance(text, str) else "", data)
        if not isinstance(text, str) or not text:
            return None
        return UpstreamReplyError(self._server, INTERNAL_ERROR, text, data)

    def _reply_id(self, request_id: object, related_id: int | None = None) -> int:
        """The id of the call that a reply names; some servers make it a string, or know none after an error."""
        if isinstance(request_id, str) and request_id.isdecimal() and len(request_id) <= _ID_DIGITS:
            return int(request_id)
        if request_id is None and related_id is not None:
            return related_id
        if request_id is None and len(self._calls) == 1:
            return next(iter(self._calls))
        return request_id if isinstance(request_id, int) else 0

    def _handle_notification(self, method: str, params: Message, related_id: int | None) -> None:
        if method == "notifications/progress":
            call = self._calls.get(self._reply_id(params.get("progressToken") or 0))
            if call is not None:
                call.add_event(method, params)
            return
        call = self._owning_call(related_id)
        if call is not None and call.request.hooks.on_notification is not None and method == "notifications/message":
            call.add_event(method, params)
            return
        self._on_notification(method, params)

    def _owning_call(self, related_id: int | None) -> Call | None:
        """The call that a message of the server belongs to: where it came says it, or that all are of one caller. Of
        several it is the latest that takes questions.
        """
        if related_id is not None:
            return self._calls.get(related_id)
        calls = [call for call in self._calls.values() if call.attributable]
        if not calls:
            return None
        owner = calls[-1].request.session_key
        if not self._exclusive:
            of_one = len(calls) == 1 or (owner is not None and all(call.request.session_key == owner for call in calls))
            if not of_one or not self._cancelled.all_owned_by(owner):
                return None
        return next((call for call in reversed(calls) if call.request.hooks.on_server_request is not None), calls[-1])

    def _give_up(self, call: Call) -> None:
        if self._ended is None and self._tasks is not None:
            if call.attributable:
                self._cancelled.add(call.id, call.request.session_key)
            self._tasks.start_soon(self._cancel, call.id)

    async def _cancel(self, request_id: int) -> None:
        with anyio.move_on_after(_CANCEL_SECONDS):
            try:
                await self._open_transport().cancel(request_id, "nobody waits for the reply any more")
            except UpstreamError as error:
                logger.debug("cancellation not sent: %s", error)


def _to_message(call: Call, params: Message | None) -> Message:
    """The request of `call` as a JSON-RPC message, with a progress token where its caller wants to hear of progress."""
    request = call.request
    message: Message = {"jsonrpc": "2.0", "id": call.id, "method": request.method}
    if request.hooks.on_progress is not None:
        params = dict(params or {})
        params["_meta"] = {**params.get("_meta", {}), "progressToken": call.id}
    if params is not None:
        message["params"] = params
    return message
