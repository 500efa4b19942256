"""Subscriptions to single resources: one with the upstream server for all clients that have one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Collection

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.catalog.server import Servers
from gateway.database.notices import Notices
from gateway.downstream.changes.subscription_registry import SessionKey, Subscriber, Subscription, SubscriptionRegistry
from gateway.downstream.changes.upstream_subscription import UpstreamSubscription
from gateway.downstream.methods.resources import Resources
from gateway.errors import DatabaseError, ModelGateError, NotFoundError, UpstreamReplyError
from gateway.json_codec import Message
from gateway.task_set import TaskSet
from gateway.upstream.notifications import UpstreamNotifications
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_UPDATED = "notifications/resources/updated"
_ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
_RETRY_SECONDS = 1.0
_MAXIMUM_PER_CLIENT = 1_000
_MAXIMUM_SOUGHT_AT_ONCE = 16


class Subscriptions:
    """Passes on that resources have been updated, to those who subscribed to them and may use them."""

    def __init__(
        self, resources: Resources, servers: Servers, pool: UpstreamPool, news: UpstreamNotifications, notices: Notices
    ) -> None:
        self._resources = resources
        self._servers = servers
        self._pool = pool
        self._clients: dict[str, dict[str, Subscription]] = {}
        self._topics = SubscriptionRegistry()
        self._upkeeps: dict[SessionKey, UpstreamSubscription] = {}
        self._tasks = TaskSet()
        self._stir = asyncio.Event()
        news.subscribe(self._on_news)
        news.subscribe_sessions(self._on_session)
        notices.subscribe(lambda _: self.look())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Subscriptions last until the block ends at most."""
        self._tasks.spawn(self._follow())
        try:
            yield
        finally:
            upkeeps = [upkeep.aclose() for upkeep in self._upkeeps.values()]
            self._upkeeps.clear()
            await asyncio.gather(self._tasks.aclose(), *upkeeps, self._topics.aclose(), return_exceptions=True)

    async def add(self, subscriber: Subscriber, uri: object) -> None:
        """Tell a client of updates, once the server has agreed to tell of them.

        Raises MCPError for a resource that the client cannot see, and where the server does not agree; ModelGateError
        where the server does not answer.
        """
        await self._watch(*await self._found(subscriber, uri), patient=False)

    async def add_all(self, subscriber: Subscriber, uris: Collection[str]) -> None:
        """Tell a client of updates of those of these resources that there are; a server that does not answer is asked
        on. As with any address that never changes, nothing is heard of one that is not there.
        """
        seeking = asyncio.Semaphore(_MAXIMUM_SOUGHT_AT_ONCE)

        async def add(uri: str) -> None:
            with contextlib.suppress(ModelGateError, MCPError):
                async with seeking:
                    # What is known already is found without waiting, and others want their turn.
                    await asyncio.sleep(0)
                    found = await self._found(subscriber, uri)
                # Waited for all at once, so that the server is asked once.
                await self._watch(*found, patient=True)

        await asyncio.gather(*(add(uri) for uri in uris))

    async def _found(self, subscriber: Subscriber, uri: object) -> tuple[Subscription, SessionKey]:
        caller = subscriber.caller()
        resolved = await self._resources.resolve(caller, uri)
        if not resolved:
            raise MCPError(code=INVALID_PARAMS, message=f"There is no resource {str(uri)[:200]!r}.", data={"uri": uri})
        server_id, own = resolved[0]
        spec = await self._servers.spec(caller.tenant_id, server_id)
        return Subscription(subscriber, str(uri), server_id, own), _place(spec, subscriber)

    async def _watch(self, watcher: Subscription, place: SessionKey, *, patient: bool) -> None:
        client, own = watcher.subscriber.id, watcher.own
        self.remove(client, watcher.shown)
        if len(self._clients.get(client, ())) >= _MAXIMUM_PER_CLIENT:
            raise MCPError(
                code=INVALID_PARAMS,
                message=f"There are {_MAXIMUM_PER_CLIENT:,} subscriptions already, as many as a client may have; "
                "end some of them first.",
            )
        self._clients.setdefault(client, {})[watcher.shown] = watcher
        upkeep = self._put(watcher, place)
        try:
            await upkeep.want(own)
        except UpstreamReplyError as error:
            self._drop(watcher)
            raise MCPError(code=error.code, message=error.message, data=error.data) from None
        except ModelGateError:
            if not patient:
                self._drop(watcher)
                raise
        except BaseException:
            self._drop(watcher)
            raise

    def remove(self, client: str, uri: object) -> None:
        """The client no longer wants to be told."""
        watcher = self._clients.get(client, {}).get(str(uri))
        if watcher is not None:
            self._drop(watcher)

    def remove_all(self, client: str) -> None:
        """The client is gone."""
        for watcher in list(self._clients.get(client, {}).values()):
            self._drop(watcher)
        for place in [place for place in self._upkeeps if place[1] == client]:
            # An upstream session of this client's own ends with it; to unsubscribe could open another.
            self._tasks.spawn(self._upkeeps.pop(place).aclose())

    def look(self) -> None:
        """What callers may use, or what servers are, may have changed."""
        self._stir.set()

    def _put(self, watcher: Subscription, place: SessionKey) -> UpstreamSubscription:
        self._topics.put(watcher, place)
        if place not in self._upkeeps:
            server = (watcher.subscriber.caller().tenant_id, place[0])
            self._upkeeps[place] = UpstreamSubscription(
                self._servers, self._pool, server, place[1], lambda own: self._topics.updated(place, own)
            )
        return self._upkeeps[place]

    def _take(self, watcher: Subscription) -> None:
        place = self._topics.take(watcher)
        if place in self._upkeeps:
            self._upkeeps[place].leave(watcher.own)
            self._prune()

    def _prune(self) -> None:
        for place, upkeep in list(self._upkeeps.items()):
            if upkeep.idle:
                del self._upkeeps[place]

    def _drop(self, watcher: Subscription) -> None:
        watching = self._clients.get(watcher.subscriber.id, {})
        if watching.get(watcher.shown) is watcher:
            del watching[watcher.shown]
            if not watching:
                del self._clients[watcher.subscriber.id]
        self._take(watcher)

    async def _follow(self) -> None:
        while True:
            await self._stir.wait()
            self._stir.clear()
            for watching in list(self._clients.values()):
                # There may be many.
                await asyncio.sleep(0)
                for watcher in list(watching.values()):
                    try:
                        await self._verify(watcher)
                    except DatabaseError as error:
                        logger.info("Whether updates may still be told is looked at later: %s", error)
                        asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._stir.set)
                    except Exception:
                        logger.exception("Whether updates may still be told could not be found out")
            self._prune()
            for upkeep in self._upkeeps.values():
                upkeep.look()

    async def _verify(self, watcher: Subscription) -> None:
        """Subscribe through the right session, and not at all while the caller may not use the server."""
        caller = watcher.subscriber.caller()
        place: SessionKey | None = None
        if await self._resources.may_use(caller, watcher.server_id, watcher.own):
            with contextlib.suppress(NotFoundError):
                place = _place(await self._servers.spec(caller.tenant_id, watcher.server_id), watcher.subscriber)
        there = self._clients.get(watcher.subscriber.id, {}).get(watcher.shown) is watcher
        if there and place != watcher.place:
            self._take(watcher)
            if place is not None:
                self._put(watcher, place).wish(watcher.own)

    def _on_session(self, spec: ServerSpec, session_key: str | None, session: object, opened: bool) -> None:
        upkeep = self._upkeeps.get((spec.id, session_key))
        if upkeep is not None:
            upkeep.session_changed(session, opened)

    def _on_news(self, spec: ServerSpec, session_key: str | None, method: str, params: Message) -> None:
        place = (spec.id, session_key)
        if method == _ACKNOWLEDGED:
            about = params.get("notifications")
            if place in self._upkeeps and isinstance(about, dict) and about.get("resourceSubscriptions"):
                self._upkeeps[place].acknowledged()
        uri = params.get("uri")
        if method == _UPDATED and isinstance(uri, str):
            self._topics.updated(place, uri)


def check_number(uris: Collection[str]) -> None:
    """Raises MCPError for more resources than a client may subscribe to."""
    if len(uris) > _MAXIMUM_PER_CLIENT:
        raise MCPError(
            code=INVALID_PARAMS,
            message=f"params.notifications.resourceSubscriptions has {len(uris):,} addresses, more than the "
            f"{_MAXIMUM_PER_CLIENT:,} that a client may subscribe to; leave some out.",
        )


def _place(spec: ServerSpec, subscriber: Subscriber) -> SessionKey:
    return spec.id, subscriber.upstream_key if spec.session == "per_client" else None
