"""What was said in sessions lately, for clients that lost the connection in the midst of it."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TypeAlias

from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp_types import JSONRPCMessage

_MOST_OF_ONE = 200


@dataclass(frozen=True, slots=True)
class _Event:
    stream: str
    # None for the event that opens a stream: it only says from where to go on.
    message: JSONRPCMessage | None
    size: int


_Events: TypeAlias = dict[int, _Event]


class EventStores:
    """The histories of all sessions: about `maximum` bytes in all, the latest events, and at most 200 of a session."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._last = 0
        self._bytes = 0
        self._owners: dict[int, _Events] = {}

    def of_session(self) -> SessionEventStore:
        """A new history, forgotten with its session."""
        events: _Events = {}
        history = SessionEventStore(self, events)
        weakref.finalize(history, self._forget_all, events).atexit = False
        return history

    def add(self, events: _Events, event: _Event) -> int:
        """Keep an event; returns its number, which is greater than those of all before it."""
        self._last += 1
        events[self._last] = event
        self._owners[self._last] = events
        self._bytes += event.size
        if len(events) > _MOST_OF_ONE:
            self._forget(next(iter(events)))
        while self._bytes > self._maximum and self._owners:
            self._forget(next(iter(self._owners)))
        return self._last

    def _forget(self, number: int) -> None:
        self._bytes -= self._owners.pop(number).pop(number).size

    def _forget_all(self, events: _Events) -> None:
        for number in list(events):
            self._forget(number)


class SessionEventStore(EventStore):
    """The last events on the streams of one session, which the SDK names by the ids of requests."""

    def __init__(self, histories: EventStores, events: _Events) -> None:
        self._histories = histories
        self._events = events

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """The id by which a client goes on after this event."""
        # About as long as what goes over the wire, and cheaper than writing that once more.
        size = 0 if message is None else len(repr(message))
        return str(self._histories.add(self._events, _Event(stream_id, message, size)))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        """Send what came after an event on its stream; returns the stream, None for an event that is not kept."""
        last = int(last_event_id) if last_event_id.isascii() and last_event_id.isdecimal() else 0
        seen = self._events.get(last)
        if seen is None:
            return None
        for number, event in list(self._events.items()):
            if number > last and event.stream == seen.stream and event.message is not None:
                await send_callback(EventMessage(event.message, str(number)))
        return seen.stream
