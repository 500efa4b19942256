"""What upstream servers say of their own accord, told to all processes by the one that has their sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from gateway.cluster.links.hop import Hop
from gateway.errors import DatabaseError, NotFoundError
from gateway.json_codec import Message
from gateway.upstream.notifications import UpstreamNotifications
from gateway.upstream.spec import ServerSpec

ReadSpec: TypeAlias = Callable[[int, int], Awaitable[ServerSpec]]
"""What it takes to connect to a server of a tenant. Raises NotFoundError."""


class ServerEvents:
    """Tells other members what `own` hears, and `everywhere` what others tell.

    Where the link to a member is lost, its sessions count as ended and their lists as changed, for something may have
    been missed.
    """

    def __init__(
        self, hop: Hop, read_spec: ReadSpec, own: UpstreamNotifications, everywhere: UpstreamNotifications
    ) -> None:
        self._hop = hop
        self._read_spec = read_spec
        self._everywhere = everywhere
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

    async def _hear(self, peer: str, event: Message) -> None:
        if "tenant" not in event:
            # Of something else than a server.
            return
        try:
            spec = await self._read_spec(event["tenant"], event["server"])
        except (NotFoundError, DatabaseError):
            return
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
        for session, (spec, key) in self._remote_sessions.pop(member_id, {}).items():
            self._everywhere.notify_session(spec, key, session, False)
            for method in ("notifications/prompts/list_changed", "notifications/resources/list_changed"):
                self._everywhere.notify(spec, key, method, {})
