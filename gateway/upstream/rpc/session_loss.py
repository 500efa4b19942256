"""Telling a session that the server has forgotten from a request that it does not like.

The protocol's word for it is 404. Servers that restarted also say 400 or 200 with a JSON-RPC error, 401 or 422, or open
another session without saying so and miss its handshake.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from mcp_types import (
    HEADER_MISMATCH,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    UNSUPPORTED_PROTOCOL_VERSION,
)

from gateway.errors import SessionLostError, UpstreamError, UpstreamHttpError, UpstreamReplyError
from gateway.json_codec import Message
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.rpc.negotiation import SessionInfo

Refusal = UpstreamReplyError | UpstreamHttpError

_PROBE_SECONDS = 5.0
# What is said of one request, never of a session.
_CODES_OF_REQUESTS = (
    METHOD_NOT_FOUND,
    HEADER_MISMATCH,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    UNSUPPORTED_PROTOCOL_VERSION,
)
_STATUSES_OF_REQUESTS = (408, 413, 414, 429, 431)
_SPEAKS_OF_SESSION = re.compile(
    r"session|initiali[sz]|invalid request parameters|unauthori[sz]ed client", re.IGNORECASE
)
_LISTS = ("tools", "prompts", "resources")


class SessionLossDetector:
    """Judges refusals in one session by asking the server something harmless in it."""

    def __init__(self, server: str, send: Callable[[UpstreamRequest], Awaitable[Message]], info: SessionInfo) -> None:
        self._server = server
        self._send = send
        self._info = info
        self._list_method = next((f"{name}/list" for name in _LISTS if name in info.capabilities), None)
        self.ignores_pings = False
        """Whether the server is known to refuse pings in sessions that it has just opened, so that they say nothing."""

    @property
    def sign_of_life(self) -> UpstreamRequest:
        """What a healthy server answers in a session that it knows."""
        if self.ignores_pings and self._list_method is not None:
            return UpstreamRequest(self._list_method, {}, timeout=_PROBE_SECONDS)
        return UpstreamRequest("ping", timeout=_PROBE_SECONDS)

    async def learn_of_pings(self) -> None:
        """Find out in a session that was just opened whether pings are refused there too. Raises SessionLostError where
        the server refuses everything in it.
        """
        if self.ignores_pings:
            return
        refusal = await self._refusal_of("ping")
        if refusal is None:
            return
        if self._list_method is not None and await self._refusal_of(self._list_method) is not None:
            raise SessionLostError(self._server, refusal, resendable=False)
        self.ignores_pings = True

    async def judge(self, request: UpstreamRequest, refusal: Refusal) -> SessionLostError | None:
        """The error that says that the session is lost, or None where `refusal` is about the request alone, which is
        noted in it where the server is known to answer others.
        """
        if not _may_mean_session(refusal):
            return None
        speaks_of_session = _SPEAKS_OF_SESSION.search(f"{refusal.message} {_said(refusal)}") is not None
        if not self.ignores_pings:
            ping_refusal = refusal if request.method == "ping" else await self._refusal_of("ping")
            if ping_refusal is not None and not await self._lists_other_than(request.method):
                alike = _kind(ping_refusal) == _kind(refusal)
                # An error in a reply may come from the midst of the work, and that of the ping from elsewhere.
                refused = alike or speaks_of_session or isinstance(refusal, UpstreamHttpError)
                resendable = refused or request.method != "tools/call"
                return self._lost(refusal, resendable=resendable, by_ping=self._list_method in (None, request.method))
            if ping_refusal is not None:
                # It knows the session, and takes no pings in it.
                self.ignores_pings = True
        elif request.method == "ping":
            return None
        lives = not self.ignores_pings
        if speaks_of_session or isinstance(refusal, UpstreamHttpError) or self.ignores_pings:
            # Servers that open another session without a word answer pings in it, and nothing else.
            if self._list_method is None or self._list_method == request.method:
                return self._lost(refusal, resendable=True) if speaks_of_session else None
            if await self._refusal_of(self._list_method) is not None:
                return self._lost(refusal, resendable=True)
            lives = True
        if isinstance(refusal, UpstreamHttpError):
            refusal.session_lives = lives
        return None

    async def _lists_other_than(self, method: str) -> bool:
        """Whether the server answers a list in the session, where it has one that is not `method` itself."""
        if self._list_method is None or self._list_method == method:
            return False
        return await self._refusal_of(self._list_method) is None

    async def _refusal_of(self, method: str) -> Refusal | None:
        """How the server refuses `method`; None where it answers, does not know the method, or says nothing in time."""
        try:
            await self._send(UpstreamRequest(method, {} if method != "ping" else None, timeout=_PROBE_SECONDS))
        except (UpstreamReplyError, UpstreamHttpError) as refusal:
            return refusal if _may_mean_session(refusal) else None
        except SessionLostError as lost:
            return lost.refusal
        except UpstreamError:
            return None
        return None

    def _lost(self, refusal: Refusal, *, resendable: bool, by_ping: bool = False) -> SessionLostError:
        return SessionLostError(self._server, refusal, resendable=resendable, by_ping=by_ping)


def _may_mean_session(refusal: Refusal) -> bool:
    if isinstance(refusal, UpstreamHttpError):
        return 400 <= refusal.status < 500 and refusal.status not in _STATUSES_OF_REQUESTS
    return refusal.code not in _CODES_OF_REQUESTS


def _kind(refusal: Refusal) -> tuple[str, int]:
    return ("status", refusal.status) if isinstance(refusal, UpstreamHttpError) else ("code", refusal.code)


def _said(refusal: Refusal) -> str:
    return refusal.said if isinstance(refusal, UpstreamHttpError) else str(refusal.data or "")[:1000]
