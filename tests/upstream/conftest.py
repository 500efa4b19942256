"""Upstream servers to connect to: processes, and HTTP servers on ports of the system's choice."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
import uvicorn

from gateway.errors import UpstreamError
from gateway.settings import UpstreamSettings
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.sessions.session import UpstreamSession
from gateway.upstream.spec import ServerSpec
from gateway.upstream.transports.process_reaper import ProcessReaper
from tests.upstream.processes import children, until

SERVERS = Path(__file__).parent / "servers"

Connect = Callable[..., AbstractAsyncContextManager[UpstreamSession]]


def raw(mode: str = "handshake", **changes: Any) -> ServerSpec:
    """The bare stdio server in `mode`."""
    values: dict[str, Any] = {
        "id": 1,
        "tenant_id": 1,
        "name": "Raw Server",
        "slug": "raw_server",
        "transport": "stdio",
        "command": sys.executable,
        "args": ("-I", "-S", str(SERVERS / "raw.py"), mode),
    }
    return ServerSpec(**{**values, **changes})


def sdk(**changes: Any) -> ServerSpec:
    """The SDK's stdio server."""
    return raw(args=(str(SERVERS / "sdk.py"),), cwd=str(SERVERS.parents[2]), **changes)


def web(url: str, **changes: Any) -> ServerSpec:
    """The server at `url`."""
    return raw(**{"transport": "http", "command": None, "args": (), "url": url, "name": "Web Server", **changes})


@asynccontextmanager
async def serving(app: Any, listening: socket.socket | None = None) -> AsyncIterator[str]:
    """Run an ASGI application, on the bound socket `listening` where given; yields the address of its root."""
    if listening is None:
        listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", lifespan="on", ws="none", timeout_graceful_shutdown=1)
    )
    with listening:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listening])
            await until(lambda: server.started)
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            finally:
                server.should_exit = True


@pytest.fixture
def no_child_is_left() -> Iterator[None]:
    """Every process that a test starts has ended with it."""
    before = children()
    yield
    assert children() <= before


@pytest.fixture
async def connect(no_child_is_left: None) -> AsyncIterator[Connect]:
    """Opens a session: `async with connect(spec) as session`."""
    async with ProcessReaper() as reaper:

        @asynccontextmanager
        async def opened(spec: ServerSpec, **options: Any) -> AsyncIterator[UpstreamSession]:
            session = UpstreamSession(spec, reaper, **options)
            # A failure to connect is raised outside of the task group, which would wrap it.
            async with anyio.create_task_group() as tasks:
                await tasks.start(_quietly, session)
                if session.connected:
                    try:
                        yield session
                    finally:
                        session.close()
                    return
            assert session.error is not None
            raise session.error

        yield opened


async def _quietly(session: UpstreamSession, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    try:
        await session.run(task_status=task_status)
    except UpstreamError:
        task_status.started()


@pytest.fixture
async def pool(no_child_is_left: None) -> AsyncIterator[UpstreamPool]:
    async with UpstreamPool(UpstreamSettings(pause_seconds=0.5)) as opened:
        yield opened
