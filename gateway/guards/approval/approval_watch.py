"""Waiting for what becomes of approvals, in whichever process it is decided."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import anyio

from gateway.database.notices import Notices
from gateway.guards.approval.call_approval import CallApproval

CHANNEL = "modelgate_approvals"

# While notices come in, a look from time to time is for what none is sent of: that time has run out.
_LOOK_SECONDS = 5.0
_LOOK_SECONDS_WITHOUT_NOTICES = 0.5


class ApprovalWatch:
    """Wakes those who wait for an approval, and those who wait for any."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._events: dict[str, set[asyncio.Event]] = {}
        self._for_any: set[asyncio.Event] = set()
        self._is_closed = False
        notices.subscribe_channel(CHANNEL, self._on_payload)

    @property
    def waiting(self) -> int:
        """How many wait for one of them."""
        return sum(len(events) for events in self._events.values())

    @property
    def is_closed(self) -> bool:
        """Whether nobody is to wait any more."""
        return self._is_closed

    def close(self) -> None:
        """Wake all: the gateway stops."""
        self._is_closed = True
        self._wake("")

    @contextlib.contextmanager
    def watching(self, approval: CallApproval) -> Iterator[ApprovalSignal]:
        """To be entered before the approval is read: what changes from then on is not missed."""
        event, place = asyncio.Event(), f"{approval.tenant_id}:{approval.id}"
        self._events.setdefault(place, set()).add(event)
        try:
            yield ApprovalSignal(self._notices, event)
        finally:
            self._events[place].discard(event)
            if not self._events[place]:
                del self._events[place]

    @contextlib.contextmanager
    def watching_any(self) -> Iterator[ApprovalSignal]:
        """The same for all approvals of all tenants."""
        event = asyncio.Event()
        self._for_any.add(event)
        try:
            yield ApprovalSignal(self._notices, event)
        finally:
            self._for_any.discard(event)

    def _on_payload(self, place: str) -> None:
        self._wake(place)

    def _wake(self, place: str) -> None:
        told = self._events.get(place, ()) if place else [each for events in self._events.values() for each in events]
        for event in (*told, *self._for_any):
            event.set()


class ApprovalSignal:
    """That something may have changed."""

    def __init__(self, notices: Notices, event: asyncio.Event) -> None:
        self._notices = notices
        self._event = event

    async def wait(self, seconds: float) -> None:
        """Until something may have changed since the last time; at most so long, and less where nobody tells of it."""
        look = _LOOK_SECONDS if self._notices.connected else _LOOK_SECONDS_WITHOUT_NOTICES
        with anyio.move_on_after(max(0.0, min(seconds, look))):
            await self._event.wait()
        self._event.clear()
