"""An ASGI application on a real port, in the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp


@contextlib.contextmanager
def open_port() -> Iterator[tuple[socket.socket, str]]:
    """A socket that listens, and its address: for applications that have to know it beforehand."""
    # asyncio sends small answers at once only on sockets that say that they are TCP.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(256)
        yield listening, f"http://127.0.0.1:{listening.getsockname()[1]}"


def spare_port() -> int:
    """A port that nobody has: for what has to bind it by itself, perhaps again and again."""
    # The system gives away none of these while it is free.
    for port in random.sample(range(10_000, 32_000), 100):
        with socket.socket() as trial, contextlib.suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")


@contextlib.asynccontextmanager
async def serving_at(
    listening: socket.socket, application: ASGIApp, *, shutdown_seconds: int | None = 1
) -> AsyncIterator[None]:
    """Serve `application` until the block ends, and then requests under way for `shutdown_seconds`, None for all."""
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=shutdown_seconds,
    )
    async with serving_config(listening, config):
        yield


@contextlib.asynccontextmanager
async def serving_config(listening: socket.socket, config: uvicorn.Config) -> AsyncIterator[None]:
    """Serve as `config` says until the block ends."""
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    await server.ready.wait()
    try:
        yield
    finally:
        server.stop()
        await task


@contextlib.asynccontextmanager
async def serving(application: ASGIApp) -> AsyncIterator[str]:
    """Serve `application` until the block ends; gives its address."""
    with open_port() as (listening, url):
        async with serving_at(listening, application):
            yield url


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield

    def stop(self) -> None:
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        # Uvicorn looks every tenth of a second whether it is to stop.
        await self.on_tick(0)
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does it, which sleeps for a tenth of a second before it looks what is left to do."""
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        # A client that has just gone is noticed now.
        await asyncio.sleep(0)
        try:
            await asyncio.wait_for(self._wait_tasks_to_complete(), self.config.timeout_graceful_shutdown)
        except asyncio.TimeoutError:
            for task in self.server_state.tasks:
                task.cancel(msg="Task cancelled, timeout graceful shutdown exceeded")
        if not self.force_exit:
            await self.lifespan.shutdown()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()
