"""Answers that are too large for one event of a stream."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.types import Message, Send

from gateway.downstream.protocol.replies.accepted_types import event, json_answer_start, stream_answer
from gateway.downstream.result_limit import ResultLimit
from gateway.json_codec import assemble, decode

MAXIMUM_EVENT_BYTES = 1024 * 1024
"""The largest event that the SDK's clients read."""

# An answer that comes within this time can still be one in JSON.
_HOLD_SECONDS = 1.0
_OVERHEAD_BYTES = 1024


class LargeAnswers:
    """A `send` that holds back the beginning of an event stream for a moment: an answer that comes first and is too
    large for an event goes out as JSON instead. Where the stream has begun, it is cut to what an event can hold.
    """

    def __init__(self, send: Send, may_be_json: bool) -> None:
        self._send = send
        self._may_be_json = may_be_json
        self._is_streaming = False
        self._held: list[Message] = []
        self._lock = asyncio.Lock()
        self._is_answered = False
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None

    async def __call__(self, message: Message) -> None:
        """Send, hold back, or make over a message of the application."""
        if message["type"] == "http.response.start" and _is_stream(message):
            self._is_streaming = True
            if self._may_be_json:
                self._held = [message]
                self._timer = asyncio.get_running_loop().call_later(_HOLD_SECONDS, self._start_flushing)
                return
        if not self._is_streaming:
            await self._send(message)
            return
        async with self._lock:
            if self._is_answered:
                return
            body = message.get("body", b"")
            if len(body) > MAXIMUM_EVENT_BYTES and (answer := stream_answer(body)) is not None:
                await self._send_large(answer, message.get("more_body", False))
                return
            if self._held and b"data: {" not in body and message.get("more_body", False):
                # The event that opens a stream: it says from where to go on, and nothing else.
                self._held.append(message)
                return
            await self._flush()
            await self._send(message)

    async def _send_large(self, answer: bytes, more_body: bool) -> None:
        if not self._held:
            await self._send({"type": "http.response.body", "body": event(_cut(answer)), "more_body": more_body})
            return
        start, self._held = self._held[0], []
        self._is_answered = True
        self._cancel_timer()
        await self._send(json_answer_start(start, 200, answer))
        await self._send({"type": "http.response.body", "body": answer})

    def _start_flushing(self) -> None:
        self._flushing = asyncio.create_task(self._flush_held())

    async def _flush_held(self) -> None:
        async with self._lock:
            # Of a client that has left, the application hears by itself.
            with contextlib.suppress(OSError):
                await self._flush()

    async def _flush(self) -> None:
        self._cancel_timer()
        held, self._held = self._held, []
        for message in held:
            await self._send(message)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _is_stream(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in message.get("headers", ())
    )


def _cut(answer: bytes) -> bytes:
    message = decode(answer)
    result = message.get("result")
    if not isinstance(result, dict):
        return answer
    cut = ResultLimit(MAXIMUM_EVENT_BYTES - _OVERHEAD_BYTES).apply(result)
    return assemble({**message, "result": cut.to_json()})
