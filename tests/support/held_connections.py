"""Refuses to let a request go out over a network while whoever sends it holds a connection of the database pool.

An upstream server takes as long as it likes, and the connections are few: a handful of slow ones would stop every
search and every sign-in.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.bounded_http_client import BoundedHttpClient
from gateway.database.connection import DatabaseConnection
from gateway.database.pool import Database
from gateway.upstream.http.server_client import ServerHttpClient
from gateway.upstream.openapi.transport import OpenApiTransport
from gateway.upstream.transports.http_sse import HttpSseTransport
from gateway.upstream.transports.stdio import StdioTransport
from gateway.upstream.transports.streamable_http import StreamableHttpTransport


@dataclass(eq=False)
class _Hold:
    """A connection lent to a task; tasks that it has started since see when it is given back."""

    is_over: bool = False


_holds: ContextVar[tuple[_Hold, ...]] = ContextVar("held database connections", default=())

_REQUESTS: tuple[tuple[type, str], ...] = (
    (BoundedHttpClient, "send"),
    (ServerHttpClient, "_send_following_redirects"),
    (StdioTransport, "send"),
    (StreamableHttpTransport, "send"),
    (HttpSseTransport, "send"),
    (OpenApiTransport, "send"),
)


def refuse_requests_on_held_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every request of the gateway fail while a pooled connection is held by who sends it."""
    lend = Database.connection

    @contextlib.asynccontextmanager
    async def connection(self: Database, *options: float) -> AsyncIterator[DatabaseConnection]:
        hold = _Hold()
        async with lend(self, *options) as lent:
            _holds.set((*_holds.get(), hold))
            try:
                yield lent
            finally:
                hold.is_over = True
                _holds.set(tuple(other for other in _holds.get() if other is not hold))

    monkeypatch.setattr(Database, "connection", connection)
    for owner, name in _REQUESTS:
        monkeypatch.setattr(owner, name, _guarded(getattr(owner, name)))


def _guarded(send: Callable[..., Any]) -> Callable[..., Any]:
    async def guarded(*arguments: Any, **options: Any) -> Any:
        assert all(hold.is_over for hold in _holds.get()), (
            "a request goes out over the network while a connection of the database pool is held"
        )
        return await send(*arguments, **options)

    return guarded
