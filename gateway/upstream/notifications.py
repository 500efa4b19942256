"""What servers say of their own accord, and when they can say it, handed on to all who want to hear it."""

from __future__ import annotations

from collections.abc import Callable

from gateway.json_codec import Message
from gateway.upstream.spec import ServerSpec

OnNews = Callable[[ServerSpec, "str | None", str, Message], None]
"""Told the server, the key of the session where that is known, the method and the params of a notification; must return
at once."""

OnSession = Callable[[ServerSpec, "str | None", object, bool], None]
"""Told the server, the key of a session, something that is the same for all of that session's life, and whether it was
opened or has ended; must return at once."""


class UpstreamNotifications:
    """Give `list_changed`, `noticed` and `session_changed` to the pool."""

    def __init__(self) -> None:
        self._subscribers: list[OnNews] = []
        self._session_subscribers: list[OnSession] = []

    def subscribe(self, callback: OnNews) -> None:
        """Call `callback` for every notification that belongs to no call."""
        self._subscribers.append(callback)

    def subscribe_sessions(self, callback: OnSession) -> None:
        """Call `callback` for every session that is opened or has ended."""
        self._session_subscribers.append(callback)

    def list_changed(self, spec: ServerSpec, method: str) -> None:
        """A list of the server has changed."""
        self.noticed(spec, None, method, {})

    def noticed(self, spec: ServerSpec, session_key: str | None, method: str, params: Message) -> None:
        """The server said something else."""
        for callback in self._subscribers:
            callback(spec, session_key, method, params)

    def session_changed(self, spec: ServerSpec, session_key: str | None, session: object, opened: bool) -> None:
        """A session with the server was opened, or has ended."""
        for callback in self._session_subscribers:
            callback(spec, session_key, session, opened)
