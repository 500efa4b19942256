"""What servers say of their own accord, and when they can say it, handed on to all who want to hear it."""

from __future__ import annotations

from collections.abc import Callable

from gateway.json_codec import Message
from gateway.upstream.spec import ServerSpec

NotificationListener = Callable[[ServerSpec, "str | None", str, Message], None]
"""Called with the server, the key of the session where that is known, the method and the params of a notification; must
return at once."""

SessionListener = Callable[[ServerSpec, "str | None", object, bool], None]
"""Called with the server, the key of a session, something that is the same for all of that session's life, and whether
it was opened or has ended; must return at once."""


class UpstreamNotifications:
    """Hands on what the pool is given `notify_list_changed`, `notify` and `notify_session` for."""

    def __init__(self) -> None:
        self._listeners: list[NotificationListener] = []
        self._session_listeners: list[SessionListener] = []

    def subscribe(self, listener: NotificationListener) -> None:
        """Call `listener` for every notification that belongs to no call."""
        self._listeners.append(listener)

    def subscribe_sessions(self, listener: SessionListener) -> None:
        """Call `listener` for every session that is opened or has ended."""
        self._session_listeners.append(listener)

    def notify_list_changed(self, spec: ServerSpec, method: str) -> None:
        """A list of the server has changed."""
        self.notify(spec, None, method, {})

    def notify(self, spec: ServerSpec, session_key: str | None, method: str, params: Message) -> None:
        """The server said something else."""
        for listener in self._listeners:
            listener(spec, session_key, method, params)

    def notify_session(self, spec: ServerSpec, session_key: str | None, session: object, opened: bool) -> None:
        """A session with the server was opened, or has ended."""
        for listener in self._session_listeners:
            listener(spec, session_key, session, opened)
