"""What a server says between the calls of a client that has a session with it of its own: logs, and their like."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections import deque
from collections.abc import AsyncIterator

from gateway.access.caller import Caller
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.downstream.client_request import is_severe_enough
from gateway.downstream.lists.upstream_lists import UpstreamLists
from gateway.downstream.protocol.sessions.client_sessions import ClientSessions, LiveSession
from gateway.downstream.protocol.sessions.handshake_request import send_raw_notification
from gateway.errors import ModelGateError
from gateway.json_codec import Message, encode
from gateway.task_set import TaskSet
from gateway.upstream.notifications import UpstreamNotifications
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_METHODS = ("notifications/message", "notifications/elicitation/complete")
_MAX_WAITING = 256
# Official clients take no more than 1 MiB in an event.
_MAX_BYTES = 512 * 1024


class UnaskedMessages:
    """Passes them on to handshake sessions, in their order and within the rights of the caller. Of more than 256 that
    wait for one client, the oldest are dropped.
    """

    def __init__(
        self,
        sessions: ClientSessions,
        database: Database,
        notices: Notices,
        upstream_lists: UpstreamLists,
        notifications: UpstreamNotifications,
    ) -> None:
        self._sessions = sessions
        self._database = database
        self._upstream_lists = upstream_lists
        self._servers_with_tools: NotifiedCache[tuple[int, ...], frozenset[int]] = NotifiedCache(notices)
        self._waiting: dict[str, deque[tuple[ServerSpec, str, Message]]] = {}
        self._tasks = TaskSet()
        notifications.subscribe(self._on_notification)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Pass messages on until the block ends."""
        try:
            yield
        finally:
            await self._tasks.aclose()

    def _on_notification(self, spec: ServerSpec, session_key: str | None, method: str, params: Message) -> None:
        live = self._sessions.get(session_key)
        if live is None or spec.session != "per_client" or method not in _METHODS:
            return
        if not is_severe_enough(params.get("level"), live.log_level):
            return
        waiting = self._waiting.get(live.id)
        if waiting is not None:
            waiting.append((spec, method, params))
            return
        self._waiting[live.id] = deque([(spec, method, params)], _MAX_WAITING)
        self._tasks.spawn(self._deliver(live))

    async def _deliver(self, live: LiveSession) -> None:
        waiting = self._waiting[live.id]
        try:
            while waiting and self._sessions.get(live.id) is live:
                spec, method, params = waiting.popleft()
                try:
                    if await self._may_hear(live.caller, spec) and len(encode(params)) <= _MAX_BYTES:
                        await live.notify(functools.partial(send_raw_notification, method=method, params=params))
                except ModelGateError as error:
                    logger.debug("what server %s says is not passed on: %s", spec.name, error)
        finally:
            del self._waiting[live.id]

    async def _may_hear(self, caller: Caller, spec: ServerSpec) -> bool:
        """Whether the caller may use anything of the server at this moment."""
        if any(server.id == spec.id for server in await self._upstream_lists.servers(spec.tenant_id, caller.role_ids)):
            return caller.tenant_id == spec.tenant_id

        async def read() -> frozenset[int]:
            rows = await self._database.fetch("visible_servers", caller.tenant_id, list(caller.role_ids))
            return frozenset(row["id"] for row in rows)

        return spec.id in await self._servers_with_tools.get(caller.tenant_id, caller.role_ids, read)
