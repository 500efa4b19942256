"""Events of one server that wait until it is known what it takes to reach it."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from gateway.json_codec import Message

# More of a server's words than these are not kept: who hears them this late has little use for them.
_MAX_NOTIFICATIONS = 1_000
_LIST_CHANGED = "/list_changed"
_RESOURCE_UPDATED = "notifications/resources/updated"

PeerEvent: TypeAlias = "tuple[str, Message]"
"""The id of the member that told of it, and the event."""


class WaitingEvents:
    """In the order in which they came. That a list has changed, or a resource, waits once however often it is said;
    beyond a thousand, notifications are left out, and `left_out` counts them.
    """

    def __init__(self) -> None:
        self.left_out = 0
        self._events: deque[PeerEvent] = deque()
        self._notifications = 0
        # What has been said of changes since a session was opened or has ended.
        self._changes: set[tuple[str | None, str, str]] = set()

    def __len__(self) -> int:
        return len(self._events)

    def add(self, peer: str, event: Message) -> None:
        """A member tells of an event."""
        if "method" not in event:
            self._changes.clear()
        elif not self._takes(event):
            return
        self._events.append((peer, event))

    def drain(self) -> list[PeerEvent]:
        """All of them; none waits any more."""
        taken = list(self._events)
        self._events.clear()
        self._changes.clear()
        self._notifications = 0
        return taken

    def forget_sessions(self, peer: str) -> None:
        """A member is gone, and with it the sessions that it told of."""
        self._events = deque(each for each in self._events if "method" in each[1] or each[0] != peer)

    def _takes(self, event: Message) -> bool:
        method = str(event["method"])
        is_list = method.endswith(_LIST_CHANGED)
        if is_list or method == _RESOURCE_UPDATED:
            change = (event["session_key"], method, "" if is_list else str(event["params"].get("uri")))
            if change in self._changes:
                return False
            self._changes.add(change)
        # There are few lists, and who has missed that one has changed would not ask for it again.
        if is_list:
            return True
        self._notifications += 1
        if self._notifications > _MAX_NOTIFICATIONS:
            self.left_out += 1
            return False
        return True
