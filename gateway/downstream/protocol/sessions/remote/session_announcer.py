"""The sessions that this process holds, told to those that answer requests in them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from gateway.cluster.links.hop import Hop
from gateway.cluster.links.link import LinkMessage, LinkStream
from gateway.downstream.protocol.sessions.remote.session_facts import SessionFacts
from gateway.json_codec import Message

SESSIONS_SERVICE = "client-session"
"""The service of the hop at which a member is asked about its sessions."""

ReadFacts: TypeAlias = Callable[[str], "SessionFacts | None"]
"""Gives what there is to know of a session by its id; None where it is not open."""

NotifySession: TypeAlias = Callable[[str, str, Message], Awaitable[None]]
"""Called with `(session id, method, params)` of what is to be said to the client of a session."""


class SessionAnnouncer:
    """Answers what others ask about a session, and tells them from then on when that holds no more.

    It goes over the link on which they asked: where that is lost they know that they may have missed something.
    """

    def __init__(self, hop: Hop, read_facts: ReadFacts, notify: NotifySession) -> None:
        self._hop = hop
        self._read_facts = read_facts
        self._notify = notify
        self._members: dict[str, set[str]] = {}
        hop.services[SESSIONS_SERVICE] = self._serve
        hop.subscribe_left(self._on_member_left)

    def announce_changed(self, session_id: str) -> None:
        """What is known of a session holds no more, or it has ended."""
        is_open = self._read_facts(session_id) is not None
        self._announce(session_id, {"client_session": session_id, "open": is_open})
        if not is_open:
            self._members.pop(session_id, None)

    def announce_cancelled(self, session_id: str, request_id: str | int) -> None:
        """The client of a session wants no answer to a request any more."""
        self._announce(session_id, {"client_session": session_id, "cancelled": request_id})

    def _announce(self, session_id: str, event: Message) -> None:
        for member_id in self._members.get(session_id, ()):
            self._hop.send_event(member_id, event)

    async def _serve(self, stream: LinkStream, first: LinkMessage) -> LinkMessage:
        head = first.head
        session_id = str(head["session"])
        if "notify" in head:
            method, params = head["notify"]
            await self._notify(session_id, str(method), params)
            return LinkMessage({})
        # Without a pause from here to the answer: what is told of a change comes after it.
        facts = self._read_facts(session_id)
        if facts is None:
            return LinkMessage({"facts": None})
        self._members.setdefault(session_id, set()).add(stream.peer)
        return LinkMessage({"facts": facts.to_wire()})

    def _on_member_left(self, member_id: str) -> None:
        for session_id, members in list(self._members.items()):
            members.discard(member_id)
            if not members:
                del self._members[session_id]
