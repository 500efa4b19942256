"""Resources that clients subscribed to, as upstream sessions know them, and who is told of each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.access.caller import Caller
from gateway.downstream.uri import qualified, read_qualified
from gateway.task_set import TaskSet

logger = logging.getLogger(__name__)

_QUIET_SECONDS = 0.05
_MAXIMUM_AT_ONCE = 32
_MAXIMUM_DEPTH = 1_000

SessionKey: TypeAlias = "tuple[int, str | None]"
"""A server, and the key of the upstream session where each client has its own."""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A client that can be told of updates.

    `caller` gives whose client it is now; `upstream_key` is that of its own upstream sessions. `told` takes the address
    that it subscribed to, and the address that was updated, which may be below that; both as the client knows them.
    """

    id: str
    caller: Callable[[], Caller]
    upstream_key: str
    told: Callable[[str, str], Awaitable[None]]


@dataclass(slots=True, eq=False)
class Subscription:
    """A subscription of one client; `place` is None while its caller may not use the server."""

    subscriber: Subscriber
    shown: str
    server_id: int
    own: str
    place: SessionKey | None = None

    def shows(self, updated: str) -> str:
        """The address `updated` of the server as the client knows it."""
        named = read_qualified(self.shown)
        return updated if named is None or self.shown == self.own else qualified(named[0], updated)


@dataclass(slots=True, eq=False)
class _Topic:
    watchers: set[Subscription] = field(default_factory=set)
    updated: set[str] = field(default_factory=set)


class SubscriptionRegistry:
    """Tells watchers of updates; what a server says many times in a moment is told once."""

    def __init__(self) -> None:
        self._topics: dict[SessionKey, dict[str, _Topic]] = {}
        self._tasks = TaskSet()

    def put(self, watcher: Subscription, place: SessionKey) -> None:
        """From now on the watcher is told of what is updated there."""
        watcher.place = place
        self._topics.setdefault(place, {}).setdefault(watcher.own, _Topic()).watchers.add(watcher)

    def take(self, watcher: Subscription) -> SessionKey | None:
        """The watcher is told no more. Returns the place where nobody watches the resource now."""
        place, watcher.place = watcher.place, None
        if place is None:
            return None
        topics = self._topics[place]
        topic = topics[watcher.own]
        topic.watchers.discard(watcher)
        if topic.watchers:
            return None
        del topics[watcher.own]
        if not topics:
            del self._topics[place]
        return place

    def updated(self, place: SessionKey, uri: str) -> None:
        """A server says that `uri` has been updated, which those are told, too, who watch what it is below."""
        topics = self._topics.get(place)
        if topics is None:
            return
        for own in (uri, *_above(uri)):
            topic = topics.get(own)
            if topic is None:
                continue
            if not topic.updated:
                self._tasks.spawn(self._tell(topic, own))
            if len(topic.updated) <= _MAXIMUM_AT_ONCE:
                topic.updated.add(uri)

    async def aclose(self) -> None:
        """Tell nobody any more."""
        await self._tasks.aclose()

    async def _tell(self, topic: _Topic, own: str) -> None:
        await asyncio.sleep(_QUIET_SECONDS)
        updated = {own} if len(topic.updated) > _MAXIMUM_AT_ONCE else set(topic.updated)
        topic.updated.clear()
        for watcher in topic.watchers:
            for uri in sorted(updated):
                self._tasks.spawn(_told(watcher, watcher.shown if uri == own else watcher.shows(uri)))


async def _told(watcher: Subscription, uri: str) -> None:
    try:
        await watcher.subscriber.told(watcher.shown, uri)
    except Exception:
        logger.debug("an update of %s could not be told", uri, exc_info=True)


def _above(uri: str) -> Iterator[str]:
    """The addresses that `uri` is below, as far as it is of a sensible length."""
    for end in range(min(len(uri), _MAXIMUM_DEPTH) - 1):
        if uri[end] == "/":
            yield uri[:end]
            yield uri[: end + 1]
