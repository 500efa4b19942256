"""The sessions that other processes hold, as far as they have told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from gateway.cluster.links.hop import Hop
from gateway.cluster.links.link import Link
from gateway.cluster.member import holder_of
from gateway.cluster.membership import Membership
from gateway.downstream.protocol.sessions.remote.session_announcer import SESSIONS_SERVICE
from gateway.downstream.protocol.sessions.remote.session_facts import SessionFacts
from gateway.errors import LinkFailedError, LinkLostError
from gateway.json_codec import Message
from gateway.task_set import TaskSet

_MAX_KNOWN = 50_000
# One that does not know the question, of the version before, is asked again after so long.
_SILENT_SECONDS = 60.0

OnCancelled: TypeAlias = Callable[[str, "str | int | None"], None]
"""Called with `(session id, request id)` of what its client does not want any more; None for all that it asked for."""


@dataclass(frozen=True, slots=True)
class _KnownSession:
    facts: SessionFacts
    link: Link
    until: float


class RemoteSessions:
    """Facts hold until their holder tells otherwise, the link to it is lost, or `seconds` have passed.

    That they hold no longer lets the holder see by a request now and then that the session is used, and with what
    credentials: without one it would end it, at most so much early.
    """

    def __init__(self, hop: Hop, membership: Membership, seconds: float) -> None:
        self._hop = hop
        self._membership = membership
        self._seconds = seconds
        self._known: dict[str, _KnownSession] = {}
        self._asking: set[str] = set()
        self._silent: dict[str, float] = {}
        self._tasks = TaskSet()
        self._on_cancelled: list[OnCancelled] = []
        hop.subscribe_events(self._hear)
        hop.subscribe_lost(self._on_member_lost)

    def subscribe_cancelled(self, callback: OnCancelled) -> None:
        """Have `callback` called for what the clients of sessions cancel."""
        self._on_cancelled.append(callback)

    def get(self, session_id: str) -> SessionFacts | None:
        """What is known of a session; None where that is nothing, or not to be relied on any more."""
        known = self._known.get(session_id)
        if known is None:
            return None
        if known.link.is_lost or known.until < asyncio.get_running_loop().time():
            del self._known[session_id]
            return None
        return known.facts

    def forget(self, session_id: str) -> None:
        """What is known of a session holds no more."""
        self._known.pop(session_id, None)

    def learn(self, session_id: str) -> None:
        """Ask the holder of a session about it, beside everything else."""
        holder = holder_of(session_id)
        if holder is None or holder not in self._membership.others:
            return
        if session_id in self._known or session_id in self._asking:
            return
        if self._silent.get(holder, 0.0) > asyncio.get_running_loop().time():
            return
        self._asking.add(session_id)
        self._tasks.spawn(self._ask(holder, session_id))

    async def aclose(self) -> None:
        """Ask no more."""
        await self._tasks.aclose()

    async def _ask(self, holder: str, session_id: str) -> None:
        try:
            link = await self._hop.link(self._membership.others[holder])
            answer = await link.ask(SESSIONS_SERVICE, {"session": session_id})
        except LinkFailedError:
            self._silent[holder] = asyncio.get_running_loop().time() + _SILENT_SECONDS
            return
        except (LinkLostError, KeyError):
            return
        finally:
            self._asking.discard(session_id)
        wire = answer.head["facts"]
        # A link that has ended meanwhile has told the last it could.
        if wire is None or link.is_lost:
            return
        until = asyncio.get_running_loop().time() + self._seconds
        self._known[session_id] = _KnownSession(SessionFacts.from_wire(wire), link, until)
        if len(self._known) > _MAX_KNOWN:
            del self._known[next(iter(self._known))]

    def _hear(self, _: str, event: Message) -> None:
        session_id = event.get("client_session")
        if session_id is None:
            return
        if "cancelled" in event:
            self._cancel(session_id, event["cancelled"])
            return
        self.forget(session_id)
        if not event["open"]:
            self._cancel(session_id, None)

    def _cancel(self, session_id: str, request_id: str | int | None) -> None:
        for callback in self._on_cancelled:
            callback(session_id, request_id)

    def _on_member_lost(self, member_id: str) -> None:
        """What it has changed is not told here any more; what it does not know it may learn, as it is another then."""
        self._silent.pop(member_id, None)
        for session_id in [each for each in self._known if holder_of(each) == member_id]:
            del self._known[session_id]
