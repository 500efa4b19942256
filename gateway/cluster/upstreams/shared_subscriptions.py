"""Resources to which several processes are subscribed in one upstream session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

UpstreamSessionKey: TypeAlias = "tuple[int, int, str | None]"
"""The tenant, the server, and the key of the session."""


class SharedSubscriptions:
    """Who holds which subscription, so that the server is told of the end of the last one only."""

    def __init__(self) -> None:
        self._holders: dict[tuple[UpstreamSessionKey, str], set[str]] = {}

    def add(self, session: UpstreamSessionKey, uri: str, member_id: str) -> None:
        """A member has subscribed."""
        self._holders.setdefault((session, uri), set()).add(member_id)

    def remove(self, session: UpstreamSessionKey, uri: str, member_id: str) -> bool:
        """A member has unsubscribed; returns whether nobody is subscribed any more."""
        holders = self._holders.get((session, uri), set())
        holders.discard(member_id)
        if not holders:
            self._holders.pop((session, uri), None)
        return not holders

    def remove_member(self, member_id: str) -> Iterator[tuple[UpstreamSessionKey, str]]:
        """A member is gone; gives the subscriptions that nobody has any more."""
        held = [key for key, holders in self._holders.items() if member_id in holders]
        for session, uri in held:
            if self.remove(session, uri, member_id):
                yield session, uri

    def forget(self, tenant_id: int, server_id: int, session_key: str | None) -> None:
        """A session has ended, and with it what was subscribed there."""
        ended = (tenant_id, server_id, session_key)
        self._holders = {key: holders for key, holders in self._holders.items() if key[0] != ended}
