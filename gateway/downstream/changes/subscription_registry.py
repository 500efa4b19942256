"""Resources that clients subscribed to, as upstream sessions know them, and who is notified of each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.access.caller import Caller
from gateway.downstream.uri import parse_qualified_uri, qualify_uri
from gateway.task_set import TaskSet

logger = logging.getLogger(__name__)

_QUIET_SECONDS = 0.05
_MAXIMUM_UPDATES_AT_ONCE = 32
_MAXIMUM_URI_PREFIX = 1_000


class SessionKey(NamedTuple):
    """A server, and whose upstream session it is where each client has its own, None where all share one."""

    server_id: int
    client_key: str | None


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A client that can be notified of updates.

    `get_caller` gives whose client it is now; `upstream_session_key` is that of its own upstream sessions. `notify`
    takes the address that it subscribed to, and the address that was updated, which may be below that; both as the
    client knows them.
    """

    id: str
    get_caller: Callable[[], Caller]
    upstream_session_key: str
    notify: Callable[[str, str], Awaitable[None]]


@dataclass(slots=True, eq=False)
class Subscription:
    """A subscription of one client to a resource, which it and the server may know by different addresses.

    `session_key` is None while the caller may not use the server.
    """

    subscriber: Subscriber
    client_uri: str
    server_id: int
    upstream_uri: str
    session_key: SessionKey | None = None

    def to_client_uri(self, updated: str) -> str:
        """The address `updated` of the server as the client knows it."""
        qualified = parse_qualified_uri(self.client_uri)
        if qualified is None or self.client_uri == self.upstream_uri:
            return updated
        return qualify_uri(qualified[0], updated)


@dataclass(slots=True, eq=False)
class _Topic:
    """One resource: who is subscribed to it, and what was updated of it and is not told yet."""

    subscriptions: set[Subscription] = field(default_factory=set)
    updated: set[str] = field(default_factory=set)


class SubscriptionRegistry:
    """Notifies subscribers of updates; what a server says many times in a moment is told once."""

    def __init__(self) -> None:
        self._topics: dict[SessionKey, dict[str, _Topic]] = {}
        self._tasks = TaskSet()

    def add(self, subscription: Subscription, session_key: SessionKey) -> None:
        """From now on the subscriber is notified of what is updated in that session."""
        subscription.session_key = session_key
        topics = self._topics.setdefault(session_key, {})
        topics.setdefault(subscription.upstream_uri, _Topic()).subscriptions.add(subscription)

    def remove(self, subscription: Subscription) -> SessionKey | None:
        """The subscriber is notified no more. Returns the session in which nobody is subscribed to the resource now."""
        session_key, subscription.session_key = subscription.session_key, None
        if session_key is None:
            return None
        topics = self._topics[session_key]
        topic = topics[subscription.upstream_uri]
        topic.subscriptions.discard(subscription)
        if topic.subscriptions:
            return None
        del topics[subscription.upstream_uri]
        if not topics:
            del self._topics[session_key]
        return session_key

    def publish(self, session_key: SessionKey, uri: str) -> None:
        """`uri` of a server has been updated, of which those are notified, too, who subscribed to what it is below."""
        topics = self._topics.get(session_key)
        if topics is None:
            return
        for subscribed in (uri, *_parents(uri)):
            topic = topics.get(subscribed)
            if topic is None:
                continue
            if not topic.updated:
                self._tasks.spawn(self._notify_soon(topic, subscribed))
            if len(topic.updated) <= _MAXIMUM_UPDATES_AT_ONCE:
                topic.updated.add(uri)

    async def aclose(self) -> None:
        """Notify nobody any more."""
        await self._tasks.aclose()

    async def _notify_soon(self, topic: _Topic, subscribed: str) -> None:
        await asyncio.sleep(_QUIET_SECONDS)
        updated = {subscribed} if len(topic.updated) > _MAXIMUM_UPDATES_AT_ONCE else set(topic.updated)
        topic.updated.clear()
        for each in topic.subscriptions:
            for uri in sorted(updated):
                self._tasks.spawn(_notify(each, each.client_uri if uri == subscribed else each.to_client_uri(uri)))


async def _notify(subscription: Subscription, uri: str) -> None:
    try:
        await subscription.subscriber.notify(subscription.client_uri, uri)
    except Exception:
        logger.debug("an update of %s could not be told", uri, exc_info=True)


def _parents(uri: str) -> Iterator[str]:
    """The addresses that `uri` is below, as far as it is of a sensible length."""
    for end in range(min(len(uri), _MAXIMUM_URI_PREFIX) - 1):
        if uri[end] == "/":
            yield uri[:end]
            yield uri[: end + 1]
