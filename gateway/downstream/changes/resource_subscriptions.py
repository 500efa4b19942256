"""Subscriptions to single resources: one with the upstream server for all clients that have one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Collection

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.audit.call_log import CallLog, LoggedUse
from gateway.catalog.servers.server import Servers
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
_MAXIMUM_RESOLVED_AT_ONCE = 16


class ResourceSubscriptions:
    """Passes on that resources have been updated, to those who subscribed to them and may use them."""

    def __init__(
        self,
        resources: Resources,
        servers: Servers,
        pool: UpstreamPool,
        notifications: UpstreamNotifications,
        notices: Notices,
        call_log: CallLog,
    ) -> None:
        self._resources = resources
        self._servers = servers
        self._pool = pool
        self._call_log = call_log
        self._by_client: dict[str, dict[str, Subscription]] = {}
        self._registry = SubscriptionRegistry()
        self._upstream: dict[SessionKey, UpstreamSubscription] = {}
        self._tasks = TaskSet()
        self._wake = asyncio.Event()
        notifications.subscribe(self._on_notification)
        notifications.subscribe_sessions(self._on_session)
        notices.subscribe(lambda _: self.recheck())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Subscriptions last until the block ends at most."""
        self._tasks.spawn(self._follow())
        try:
            yield
        finally:
            upstream = [subscription.aclose() for subscription in self._upstream.values()]
            self._upstream.clear()
            await asyncio.gather(self._tasks.aclose(), *upstream, self._registry.aclose(), return_exceptions=True)

    async def add(self, subscriber: Subscriber, uri: object) -> None:
        """Notify a client of updates, once the server has agreed to tell of them.

        Raises MCPError for a resource that the client cannot see, and where the server does not agree; ModelGateError
        where the server does not answer.
        """
        async with self._call_log.use(subscriber.get_caller(), "resource.subscribe", uri) as logged:
            await self._subscribe(*await self._resolve(subscriber, uri, logged), patient=False)
            logged.set_outcome("ok")

    async def add_all(self, subscriber: Subscriber, uris: Collection[str]) -> None:
        """Notify a client of updates of those of these resources that there are; a server that does not answer is asked
        on. As with any address that never changes, nothing is heard of one that is not there.
        """
        resolving = asyncio.Semaphore(_MAXIMUM_RESOLVED_AT_ONCE)

        async def add(uri: str) -> None:
            with contextlib.suppress(ModelGateError, MCPError):
                async with self._call_log.use(subscriber.get_caller(), "resource.subscribe", uri) as logged:
                    async with resolving:
                        # What is known already is found without waiting, and others want their turn.
                        await asyncio.sleep(0)
                        resolved = await self._resolve(subscriber, uri, logged)
                    # Waited for all at once, so that the server is asked once.
                    await self._subscribe(*resolved, patient=True)
                    logged.set_outcome("ok")

        await asyncio.gather(*(add(uri) for uri in uris))

    def remove(self, client_id: str, uri: object) -> None:
        """The client no longer wants to be notified."""
        subscription = self._by_client.get(client_id, {}).get(str(uri))
        if subscription is not None:
            self._remove(subscription)

    def remove_all(self, client_id: str) -> None:
        """The client is gone."""
        for subscription in list(self._by_client.get(client_id, {}).values()):
            self._remove(subscription)
        for session_key in [session_key for session_key in self._upstream if session_key.client_key == client_id]:
            # An upstream session of this client's own ends with it; to unsubscribe could open another.
            self._tasks.spawn(self._upstream.pop(session_key).aclose())

    def recheck(self) -> None:
        """What callers may use, or what servers are, may have changed."""
        self._wake.set()

    async def _resolve(self, subscriber: Subscriber, uri: object, logged: LoggedUse) -> tuple[Subscription, SessionKey]:
        caller = subscriber.get_caller()
        origins = await self._resources.resolve(caller, uri)
        if not origins:
            raise MCPError(code=INVALID_PARAMS, message=f"There is no resource {str(uri)[:200]!r}.", data={"uri": uri})
        server_id, upstream_uri = origins[0]
        spec = await self._servers.spec(caller.tenant_id, server_id)
        logged.set_server(spec.name)
        if spec.personal is not None:
            # Updates would come over sessions of single persons, which end and begin with their connections.
            raise MCPError(
                code=INVALID_PARAMS,
                message=f"{spec.name} lets each person in as who they are, and its resources cannot be subscribed to; "
                "read them again instead.",
            )
        await logged.start()
        return Subscription(subscriber, str(uri), server_id, upstream_uri), _session_key(spec, subscriber)

    async def _subscribe(self, subscription: Subscription, session_key: SessionKey, *, patient: bool) -> None:
        client_id = subscription.subscriber.id
        self.remove(client_id, subscription.client_uri)
        if len(self._by_client.get(client_id, ())) >= _MAXIMUM_PER_CLIENT:
            raise MCPError(
                code=INVALID_PARAMS,
                message=f"There are {_MAXIMUM_PER_CLIENT:,} subscriptions already, as many as a client may have; "
                "end some of them first.",
            )
        self._by_client.setdefault(client_id, {})[subscription.client_uri] = subscription
        upstream = self._activate(subscription, session_key)
        try:
            await upstream.subscribe(subscription.upstream_uri)
        except UpstreamReplyError as error:
            self._remove(subscription)
            raise MCPError(code=error.code, message=error.message, data=error.data) from None
        except ModelGateError:
            if not patient:
                self._remove(subscription)
                raise
        except BaseException:
            self._remove(subscription)
            raise

    def _activate(self, subscription: Subscription, session_key: SessionKey) -> UpstreamSubscription:
        self._registry.add(subscription, session_key)
        if session_key not in self._upstream:
            self._upstream[session_key] = UpstreamSubscription(
                self._servers,
                self._pool,
                subscription.subscriber.get_caller().tenant_id,
                session_key,
                lambda uri: self._registry.publish(session_key, uri),
            )
        return self._upstream[session_key]

    def _deactivate(self, subscription: Subscription) -> None:
        session_key = self._registry.remove(subscription)
        if session_key in self._upstream:
            self._upstream[session_key].unsubscribe(subscription.upstream_uri)
            self._prune()

    def _prune(self) -> None:
        for session_key, upstream in list(self._upstream.items()):
            if upstream.is_idle:
                del self._upstream[session_key]

    def _remove(self, subscription: Subscription) -> None:
        client_id = subscription.subscriber.id
        of_client = self._by_client.get(client_id, {})
        if of_client.get(subscription.client_uri) is subscription:
            del of_client[subscription.client_uri]
            if not of_client:
                del self._by_client[client_id]
        self._deactivate(subscription)

    async def _follow(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for of_client in list(self._by_client.values()):
                # There may be many.
                await asyncio.sleep(0)
                for subscription in list(of_client.values()):
                    try:
                        await self._recheck(subscription)
                    except DatabaseError as error:
                        logger.info("Whether updates may still be told is looked at later: %s", error)
                        asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._wake.set)
                    except Exception:
                        logger.exception("Whether updates may still be told could not be found out")
            self._prune()
            for upstream in self._upstream.values():
                upstream.wake()

    async def _recheck(self, subscription: Subscription) -> None:
        """Subscribe through the right session, and not at all while the caller may not use the server."""
        subscriber = subscription.subscriber
        caller = subscriber.get_caller()
        session_key: SessionKey | None = None
        if await self._resources.is_readable(caller, subscription.server_id, subscription.upstream_uri):
            with contextlib.suppress(NotFoundError):
                session_key = _session_key(
                    await self._servers.spec(caller.tenant_id, subscription.server_id), subscriber
                )
        is_current = self._by_client.get(subscriber.id, {}).get(subscription.client_uri) is subscription
        if is_current and session_key != subscription.session_key:
            self._deactivate(subscription)
            if session_key is not None:
                self._activate(subscription, session_key).request(subscription.upstream_uri)

    def _on_session(self, spec: ServerSpec, client_key: str | None, session: object, opened: bool) -> None:
        upstream = self._upstream.get(SessionKey(spec.id, client_key))
        if upstream is not None:
            upstream.on_session(session, opened)

    def _on_notification(self, spec: ServerSpec, client_key: str | None, method: str, params: Message) -> None:
        session_key = SessionKey(spec.id, client_key)
        if method == _ACKNOWLEDGED:
            about = params.get("notifications")
            if session_key in self._upstream and isinstance(about, dict) and about.get("resourceSubscriptions"):
                self._upstream[session_key].on_acknowledged()
        uri = params.get("uri")
        if method == _UPDATED and isinstance(uri, str):
            self._registry.publish(session_key, uri)


def check_subscription_count(uris: Collection[str]) -> None:
    """Raises MCPError for more resources than a client may subscribe to."""
    if len(uris) > _MAXIMUM_PER_CLIENT:
        raise MCPError(
            code=INVALID_PARAMS,
            message=f"params.notifications.resourceSubscriptions has {len(uris):,} addresses, more than the "
            f"{_MAXIMUM_PER_CLIENT:,} that a client may subscribe to; leave some out.",
        )


def _session_key(spec: ServerSpec, subscriber: Subscriber) -> SessionKey:
    return SessionKey(spec.id, subscriber.upstream_session_key if spec.session == "per_client" else None)
