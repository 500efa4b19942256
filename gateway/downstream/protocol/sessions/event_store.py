"""What was said in sessions lately, for clients that lost the connection in the midst of it."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TypeAlias

from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp_types import JSONRPCMessage

_MAXIMUM_PER_SESSION = 200


@dataclass(frozen=True, slots=True)
class _Event:
    stream_id: str
    # None for the event that opens a stream: it only says from where to go on.
    message: JSONRPCMessage | None
    size: int


_Events: TypeAlias = dict[int, _Event]


class EventStores:
    """The events of all sessions: about `maximum_bytes` in all, the latest ones, and at most 200 of a session."""

    def __init__(self, maximum_bytes: int) -> None:
        self._maximum_bytes = maximum_bytes
        self._last_number = 0
        self._bytes = 0
        self._session_events: dict[int, _Events] = {}

    def open(self) -> SessionEventStore:
        """A store for one session, whose events are dropped when it is."""
        events: _Events = {}
        store = SessionEventStore(self, events)
        weakref.finalize(store, self._drop_all, events).atexit = False
        return store

    def append(self, events: _Events, event: _Event) -> int:
        """Keep an event; returns its number, which is greater than those of all before it."""
        self._last_number += 1
        events[self._last_number] = event
        self._session_events[self._last_number] = events
        self._bytes += event.size
        if len(events) > _MAXIMUM_PER_SESSION:
            self._drop(next(iter(events)))
        while self._bytes > self._maximum_bytes and self._session_events:
            self._drop(next(iter(self._session_events)))
        return self._last_number

    def _drop(self, number: int) -> None:
        self._bytes -= self._session_events.pop(number).pop(number).size

    def _drop_all(self, events: _Events) -> None:
        for number in list(events):
            self._drop(number)


class SessionEventStore(EventStore):
    """The last events on the streams of one session, which the SDK names by the ids of requests."""

    def __init__(self, stores: EventStores, events: _Events) -> None:
        self._stores = stores
        self._events = events

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """The id by which a client goes on after this event."""
        # About as long as what goes over the wire, and cheaper than writing that once more.
        size = 0 if message is None else len(repr(message))
        return str(self._stores.append(self._events, _Event(stream_id, message, size)))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        """Send what came after an event on its stream; returns the stream, None for an event that is not kept."""
        last_number = int(last_event_id) if last_event_id.isascii() and last_event_id.isdecimal() else 0
        last = self._events.get(last_number)
        if last is None:
            return None
        for number, event in list(self._events.items()):
            if number > last_number and event.stream_id == last.stream_id and event.message is not None:
                await send_callback(EventMessage(event.message, str(number)))
        return last.stream_id
