"""Ends upstream sessions of persons whose connection is there no longer, in whatever process that came about."""

from __future__ import annotations

import asyncio
import logging
import re

import anyio

from gateway.access.connections.connections import ConnectionKey, Connections
from gateway.access.connections.source import SESSION_FORM
from gateway.database.notices import Notice, Notices
from gateway.errors import ModelGateError
from gateway.upstream.pool import UpstreamPool

logger = logging.getLogger(__name__)

_EVERY_SECONDS = 30.0
"""How often all are looked at, for a notice that did not come in."""

_GATHER_SECONDS = 0.05
"""What is said in one go is looked at once."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class SessionRevocation:
    """Looks after the sessions of this process."""

    def __init__(self, connections: Connections, pool: UpstreamPool, notices: Notices) -> None:
        self._connections = connections
        self._pool = pool
        self._changed = asyncio.Event()
        notices.subscribe(self._on_notice)

    async def run(self) -> None:
        """For as long as the gateway runs."""
        while True:
            with anyio.move_on_after(_EVERY_SECONDS):
                await self._changed.wait()
                await asyncio.sleep(_GATHER_SECONDS)
            self._changed.clear()
            try:
                await self.end_sessions()
            except ModelGateError as error:
                logger.info("Sessions of persons are looked at later: %s", error)

    async def end_sessions(self) -> None:
        """End the sessions whose connection has ended or is another by now. Raises DatabaseError."""
        sessions: dict[str, tuple[ConnectionKey, str]] = {}
        for session in self._pool.person_sessions():
            match = SESSION_FORM.fullmatch(session)
            # Of what is no connection nothing is stored that could be withdrawn.
            if match is not None and _UUID.fullmatch(match["grant"]):
                key = (int(match["tenant"]), int(match["person"]), int(match["server"]))
                sessions[session] = key, match["grant"]
        existing = await self._connections.existing([key for key, _ in sessions.values()])
        for session, (key, grant) in sessions.items():
            if str(existing.get(key)) != grant:
                await self._pool.close_sessions_here(session)

    def _on_notice(self, notice: Notice) -> None:
        if notice.key_id is None and notice.space_id is None and notice.cleared_queries is None:
            self._changed.set()
