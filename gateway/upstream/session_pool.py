"""The links of one server: one that all callers share, or one for each client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import anyio

from gateway.errors import UpstreamBusyError, UpstreamUnavailableError
from gateway.upstream.session_slot import SessionSlot
from gateway.upstream.transports.child_process import MAX_STDERR_BYTES

OpenLink = Callable[["str | None", Callable[[], None]], SessionSlot]
"""Builds the link of a session key; the callable is to be called whenever a session or an attempt has ended."""


class SessionPool:
    """Links by session key. Those of single clients are dropped once their session has ended and nobody uses it."""

    def __init__(self, server: str, most: int, open_link: OpenLink) -> None:
        """At most `most` clients have a link of their own: a further one takes the place of the longest idle,
        where there is one that is not in use.
        """
        self._server = server
        self._most = most
        self._open = open_link
        self._links: dict[str | None, SessionSlot] = {}
        self._closed = False
        self._past_restarts = 0
        self._past_stderr = ""

    def __iter__(self) -> Iterator[SessionSlot]:
        return iter(list(self._links.values()))

    def __len__(self) -> int:
        return len(self._links)

    @property
    def restarts(self) -> int:
        """Connections after the first of each link."""
        return self._past_restarts + sum(max(0, link.connections - 1) for link in self)

    @property
    def stderr(self) -> str:
        """The end of what the servers wrote to their standard error output; of links that are gone, the last error."""
        said = "".join(link.current.stderr for link in self if link.current is not None)
        return (said or self._past_stderr)[-MAX_STDERR_BYTES:]

    def take(self, key: str | None) -> SessionSlot:
        """The link of `key`, to be given back. Raises UpstreamBusyError where all places are taken by calls in flight
        and subscriptions, UpstreamUnavailableError after the end.
        """
        if self._closed:
            raise UpstreamUnavailableError(self._server, f"Server {self._server} was changed or removed; try again.")
        link = self._links.get(key)
        if link is None:
            if key is not None:
                self._make_room()
            link = self._open(key, lambda: self._look_at(key))
            self._links[key] = link
        link.users += 1
        return link

    def give_back(self, key: str | None, link: SessionSlot) -> None:
        """Whoever took the link is done with it."""
        link.users -= 1
        if key is not None:
            link.last_used = time.monotonic()
            self._look_at(key)

    def retire(self) -> None:
        """Let calls in flight finish, then end all sessions."""
        self._closed = True
        for link in self:
            link.retire()

    async def close(self) -> None:
        """End all sessions now."""
        self._closed = True
        async with anyio.create_task_group() as tasks:
            for link in self:
                tasks.start_soon(link.close)

    async def release(self, key: str) -> None:
        """End the session of `key`."""
        link = self._links.get(key)
        if link is not None:
            self._drop(key, link)
            await link.close()

    def _make_room(self) -> None:
        own = [(key, link) for key, link in self._links.items() if key is not None]
        if len(own) < self._most:
            return
        unused = [(key, link) for key, link in own if not link.used]
        if not unused:
            raise UpstreamBusyError(
                self._server,
                f"Server {self._server} is busy with {self._most} clients, each in a session of its own, as many as it "
                "may have; try again later.",
            )
        key, link = min(unused, key=lambda pair: pair[1].last_used)
        self._drop(key, link)
        link.retire()

    def _look_at(self, key: str | None) -> None:
        """Drop the link of a single client that has nothing to it any more."""
        link = self._links.get(key)
        if key is not None and link is not None and not link.users and link.quiet:
            self._drop(key, link)

    def _drop(self, key: str, link: SessionSlot) -> None:
        del self._links[key]
        self._past_restarts += max(0, link.connections - 1)
        if link.current is not None and link.current.error is not None:
            self._past_stderr = link.current.stderr
