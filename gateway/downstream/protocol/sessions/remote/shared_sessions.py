"""All that it takes for every process to answer in the sessions of every other one."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.cluster.cluster import Cluster
from gateway.database.notices import Notices
from gateway.downstream.methods.method_table import MethodTable
from gateway.downstream.protocol.sessions.client_sessions import ClientSessions
from gateway.downstream.protocol.sessions.handshake_request import session_notifier
from gateway.downstream.protocol.sessions.remote.joined_request import JoinedRequests
from gateway.downstream.protocol.sessions.remote.leased_lists import LeasedLists
from gateway.downstream.protocol.sessions.remote.remote_requests import RemoteRequests
from gateway.downstream.protocol.sessions.remote.remote_sessions import RemoteSessions
from gateway.downstream.protocol.sessions.remote.session_announcer import SessionAnnouncer
from gateway.downstream.protocol.sessions.remote.session_facts import SessionFacts
from gateway.json_codec import Message
from gateway.settings import ServerSettings

_MAX_TRUST_SECONDS = 10.0
_TRUSTED_PART = 0.1


@dataclass(frozen=True, slots=True)
class SharedSessions:
    """`known` are those of others, `lists` the lists that are answered in them, `joined` the requests that one process
    answers and another has a stream for.
    """

    known: RemoteSessions
    lists: LeasedLists
    requests: RemoteRequests
    joined: JoinedRequests

    async def aclose(self) -> None:
        """Ask others nothing more."""
        await self.known.aclose()
        await self.lists.aclose()


def share_sessions(
    cluster: Cluster, sessions: ClientSessions, method_table: MethodTable, notices: Notices, settings: ServerSettings
) -> SharedSessions:
    """Tell other members of `sessions`, and answer in theirs with `method_table`."""

    def read_facts(session_id: str) -> SessionFacts | None:
        live = sessions.get(session_id)
        return None if live is None else SessionFacts.of(live)

    async def notify(session_id: str, method: str, params: Message) -> None:
        live = sessions.get(session_id)
        if live is not None:
            await session_notifier(live)(method, params)

    announcer = SessionAnnouncer(cluster.hop, read_facts, notify)
    sessions.subscribe(announcer.announce_changed, announcer.announce_cancelled)
    seconds = min(_MAX_TRUST_SECONDS, settings.session_idle_seconds * _TRUSTED_PART)
    known = RemoteSessions(cluster.hop, cluster.membership, seconds)
    joined = JoinedRequests(cluster.hop, cluster.membership)
    lists = LeasedLists(cluster.hop, cluster.membership, notices.catch_up)
    return SharedSessions(known, lists, RemoteRequests(method_table, cluster, known, lists, joined), joined)
