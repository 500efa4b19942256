"""A request that waits for its reply, and what has arrived for its caller meanwhile."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

import anyio

from gateway.errors import UpstreamError
from gateway.json_codec import Message
from gateway.upstream.request import NO_HOOKS, UpstreamRequest

_MAX_EVENTS = 256
_MAX_BUFFERED_CHARACTERS = 4 * 1024 * 1024
_ACTING = ("tools/call", "prompts/get", "resources/read", "completion/complete")


@dataclass(slots=True, eq=False)
class Call:
    """A request in flight; `doubted` says that an error has come that names no request, and may be its reply."""

    id: int
    request: UpstreamRequest
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    reply: Message | None = None
    error: UpstreamError | None = None
    events: deque[tuple[str, Message, int]] = field(default_factory=deque)
    buffered: int = 0
    progressed: bool = False
    doubted: bool = False
    server_requests: set[anyio.CancelScope] = field(default_factory=set)

    @property
    def settled(self) -> bool:
        return self.reply is not None or self.error is not None

    @property
    def attributable(self) -> bool:
        """Whether what the server says unaddressed may be about the call: neither about what is listened to, nor about
        what the gateway asks for itself, such as lists and signs of life.
        """
        request = self.request
        if request.is_listening:
            return False
        return request.method in _ACTING or request.session_key is not None or request.hooks != NO_HOOKS

    @property
    def active(self) -> bool:
        """Whether the server has shown since the last delivery that it works on the call, or waits for an answer."""
        return self.progressed or bool(self.server_requests)

    def complete(self, reply: Message) -> None:
        if not self.settled:
            self.reply = reply
            self.changed.set()

    def fail(self, error: UpstreamError) -> None:
        if not self.settled:
            self.error = error
            self.changed.set()

    def add_event(self, method: str, params: Message) -> None:
        """Keep a notification for the caller; a settled call hears no more."""
        if not self.settled:
            self.progressed = self.progressed or method == "notifications/progress"
            length = _characters(params)
            self.events.append((method, params, length))
            self.buffered += length
            while len(self.events) > 1 and (len(self.events) > _MAX_EVENTS or self.buffered > _MAX_BUFFERED_CHARACTERS):
                self.buffered -= self.events.popleft()[2]
            self.changed.set()

    def end_server_request(self, scope: anyio.CancelScope) -> None:
        """A question of the server is settled; the server works on."""
        self.server_requests.discard(scope)
        self.progressed = True
        self.changed.set()

    async def deliver_events(self) -> None:
        """Run the caller's hooks on what has arrived."""
        self.progressed = False
        while self.events:
            method, params, length = self.events.popleft()
            self.buffered -= length
            if method == "notifications/progress":
                if self.request.hooks.on_progress is not None:
                    await self.request.hooks.on_progress(*_progress(params))
            elif self.request.hooks.on_notification is not None:
                await self.request.hooks.on_notification(method, params)

    def discard_events(self) -> None:
        """Let go of what waits for the caller."""
        self.events.clear()
        self.buffered = 0


def _characters(value: object) -> int:
    """About how long a decoded JSON value is as text."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + _characters(part) for key, part in value.items())
    return sum(map(_characters, value)) if isinstance(value, list) else 1


def _progress(params: Message) -> tuple[float, float | None, str | None]:
    def number(value: object) -> float | None:
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    message = params.get("message")
    return (
        number(params.get("progress")) or 0,
        number(params.get("total")),
        message if isinstance(message, str) else None,
    )
