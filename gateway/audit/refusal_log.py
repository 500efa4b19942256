"""Requests that were not let in, in the audit log: each by itself, and a flood of them as a number."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.audit.events import AuditEvent
from gateway.audit.recorder import AuditRecorder
from gateway.database.actor import Actor
from gateway.edge.trusted_proxies import counted_address

_WINDOW_SECONDS = 60.0
_EVENTS_PER_ADDRESS = 20


class RefusalLog:
    """Records refused credentials. Of each address 20 a minute stand by themselves: guessing must not fill the disk.

    What follows within the minute is one number, which is recorded with the first refusal after it.
    """

    def __init__(self, recorder: AuditRecorder, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._recorder = recorder
        self._clock = clock
        self._since = clock()
        self._counts: dict[str, int] = {}

    def record(self, address: str, target: str, reason: str) -> None:
        """Somebody at `address` was not let in to `target`."""
        now = self._clock()
        if now - self._since >= _WINDOW_SECONDS:
            self._record_floods()
            self._since = now
        # Whoever has an IPv6 network has all of its addresses.
        counted = counted_address(address)
        count = self._counts[counted] = self._counts.get(counted, 0) + 1
        if count <= _EVENTS_PER_ADDRESS:
            self._add(address, target, {"reason": reason})

    def _record_floods(self) -> None:
        counts, self._counts = self._counts, {}
        for address, count in counts.items():
            if count > _EVENTS_PER_ADDRESS:
                self._add(address, "further requests", {"count": count - _EVENTS_PER_ADDRESS})

    def _add(self, address: str, target: str, details: dict[str, object]) -> None:
        actor = Actor("key", "unknown", address=address)
        self._recorder.record(AuditEvent(actor, "access.refused", target, "denied", details=details))
