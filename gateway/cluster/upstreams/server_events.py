"""What upstream servers say of their own accord, told to all processes by the one that has their sessions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from gateway.cluster.links.hop import Hop
from gateway.cluster.upstreams.waiting_events import WaitingEvents
from gateway.errors import DatabaseError, NotFoundError
from gateway.json_codec import Message
from gateway.task_set import TaskSet
from gateway.upstream.notifications import UpstreamNotifications
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0

ReadSpec: TypeAlias = Callable[[int, int], Awaitable[ServerSpec]]
"""What it takes to connect to a server of a tenant. Raises NotFoundError."""


class ServerEvents:
    """Tells other members what `own` hears, and `everywhere` what others tell.

    Where the link to a member is lost, its sessions count as ended and their lists as changed, for something may have
    been missed. What is told of a server waits for the database where it has to, and with it nothing of any other.
    """

    def __init__(
        self,
        hop: Hop,
        read_spec: ReadSpec,
        own: UpstreamNotifications,
        everywhere: UpstreamNotifications,
        background: TaskSet,
    ) -> None:
        """`background` holds what waits, and is to be closed at the end."""
        self._hop = hop
        self._read_spec = read_spec
        self._everywhere = everywhere
        self._background = background
        # By tenant and server.
        self._waiting: dict[tuple[int, int], WaitingEvents] = {}
        self._remote_sessions: dict[str, dict[str, tuple[ServerSpec, str | None]]] = {}
        hop.subscribe_events(self._hear)
        hop.subscribe_lost(self._on_member_lost)
        own.subscribe(self._tell_notification)
        own.subscribe_sessions(self._tell_session)

    def _tell_notification(self, spec: ServerSpec, session_key: str | None, method: str, params: Message) -> None:
        about = {"tenant": spec.tenant_id, "server": spec.id, "session_key": session_key}
        self._hop.broadcast({**about, "method": method, "params": params})

    def _tell_session(self, spec: ServerSpec, session_key: str | None, session: object, opened: bool) -> None:
        about = {"tenant": spec.tenant_id, "server": spec.id, "session_key": session_key}
        self._hop.broadcast({**about, "session": str(id(session)), "opened": opened})

    def _hear(self, peer: str, event: Message) -> None:
        if not event.get("server"):
            # Of something else than a server.
            return
        server = (int(event["tenant"]), int(event["server"]))
        waiting = self._waiting.get(server)
        if waiting is None:
            waiting = self._waiting[server] = WaitingEvents()
            self._background.spawn(self._hand_on(server, waiting))
        waiting.add(peer, event)

    async def _hand_on(self, server: tuple[int, int], waiting: WaitingEvents) -> None:
        """Tell of the events of a server, in their order, until none is left."""
        try:
            while waiting:
                try:
                    spec = await self._read_spec(*server)
                except NotFoundError:
                    return
                except DatabaseError:
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                for peer, event in waiting.drain():
                    self._tell(spec, peer, event)
        finally:
            del self._waiting[server]
            if waiting.left_out:
                logger.warning(
                    "Of what server %d said while the database did not answer, %d notifications are left out.",
                    server[1],
                    waiting.left_out,
                )

    def _tell(self, spec: ServerSpec, peer: str, event: Message) -> None:
        key: str | None = event["session_key"]
        if "method" in event:
            self._everywhere.notify(spec, key, event["method"], event["params"])
            return
        session = f"{peer}-{event['session']}"
        sessions = self._remote_sessions.setdefault(peer, {})
        if event["opened"]:
            sessions[session] = (spec, key)
        else:
            sessions.pop(session, None)
        self._everywhere.notify_session(spec, key, session, event["opened"])

    def _on_member_lost(self, member_id: str) -> None:
        """What the servers of a member say is not known any more."""
        for waiting in self._waiting.values():
            waiting.forget_sessions(member_id)
        for session, (spec, key) in self._remote_sessions.pop(member_id, {}).items():
            self._everywhere.notify_session(spec, key, session, False)
            for method in ("notifications/prompts/list_changed", "notifications/resources/list_changed"):
                self._everywhere.notify(spec, key, method, {})
