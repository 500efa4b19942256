"""What servers say of their own accord, handed on to all who want to hear it."""

from __future__ import annotations

from collections.abc import Callable

from gateway.upstream.message import Message
from gateway.upstream.spec import ServerSpec

OnNews = Callable[[ServerSpec, str, Message], None]
"""Told the server, the method and the params of a notification; must return at once."""


class UpstreamNews:
    """Give `list_changed` and `noticed` to the pool."""

    def __init__(self) -> None:
        self._subscribers: list[OnNews] = []

    def subscribe(self, callback: OnNews) -> None:
        """Call `callback` for every notification that belongs to no call."""
        self._subscribers.append(callback)

    def list_changed(self, spec: ServerSpec, method: str) -> None:
        """A list of the server has changed."""
        self.noticed(spec, None, method, {})

    def noticed(self, spec: ServerSpec, session_key: str | None, method: str, params: Message) -> None:
        """The server said something else."""
        for callback in self._subscribers:
            callback(spec, method, params)
