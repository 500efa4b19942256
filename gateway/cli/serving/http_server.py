"""The HTTP server of a gateway, from taking the port to stopping on a signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import uvicorn

from gateway.app import Gateway
from gateway.cli.local_url import reachable_host
from gateway.components import Components, open_components
from gateway.database.actor import GATEWAY, acting_as
from gateway.edge.server_config import server_config
from gateway.errors import PlatformError, PortTakenError
from gateway.settings import Settings

_BACKLOG = 2048
# A sync shows its tools after so long; those that have no vectors by then get them in the background.
_EMBED_SECONDS = 5.0
_STOP_SECONDS = 5
# What somebody asks who has connected just before nobody can any more comes within so long.
_LAST_REQUESTS_SECONDS = 0.3
_MAX_OPEN_FILES = 65_536


def _raise_open_file_limit() -> None:
    """Let this process have as many files and connections open as it may: usual is a thousand unless it asks."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES if most < 0 else min(most, _MAX_OPEN_FILES), most))


def open_listening_socket(settings: Settings) -> socket.socket:
    """Take the port before anything else is started. Raises SettingsError when it cannot be had."""
    if sys.platform == "win32":
        raise PlatformError()
    host, port = settings.server.host, settings.server.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        raise PortTakenError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}); stop what uses it, or set "
            "server.port to another port."
        ) from None
    return listener


async def serve_gateway(
    settings: Settings,
    listener: socket.socket,
    on_ready: Callable[[Components, str], Awaitable[None]],
    stop_when: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serve a gateway on `listener` until a signal stops it, or `stop_when` returns; `on_ready` gets its components and
    its URL.

    What `on_ready` raises stops the gateway, and is raised here.
    """
    _raise_open_file_limit()
    # From here on it is not the person who started it that acts.
    with listener, acting_as(GATEWAY):
        async with contextlib.AsyncExitStack() as stack:
            components = await stack.enter_async_context(
                open_components(settings, embed_seconds=_EMBED_SECONDS, clustered=True)
            )
            gateway = Gateway(components)
            if components.cluster is not None:
                # Before anything is answered: it may be that the others want nothing to do with this process.
                await stack.enter_async_context(components.cluster.running())
            config = server_config(gateway.application(), settings.server, _STOP_SECONDS, gateway.refusals)
            server = _GatewayServer(config, gateway.stop, gateway.finish_elsewhere)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            url = _url(settings, listener)
            announcing = asyncio.create_task(server.run_when_ready(lambda: on_ready(components, url)))
            watching = asyncio.create_task(server.stop_after(stop_when)) if stop_when is not None else None
            await serving
            announcing.cancel()
            if watching is not None:
                watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await announcing


class _GatewayServer(uvicorn.Server):
    """Knows when requests are answered, ends when what is done then fails, and leaves signals at that.

    Uvicorn would raise a signal again after it has stopped serving, which would end the process before the database and
    the upstream servers are stopped.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        finish: Callable[[], Awaitable[None]],
        finish_elsewhere: Callable[[], Awaitable[None]],
    ) -> None:
        """`finish` is awaited between the signal and the end, and once nobody can connect any more
        `finish_elsewhere`; a second signal ends at once.
        """
        super().__init__(config)
        self._listeners: list[socket.socket] = []
        self._last_connections: set[asyncio.Task[object]] = set()
        self._ready = asyncio.Event()
        self._finish = finish
        self._finish_elsewhere = finish_elsewhere
        self._finishing: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        # Not taken back: what is left to stop is stopped in any case.
        yield

    async def stop_after(self, happened: Callable[[], Awaitable[None]]) -> None:
        await happened()
        self._stop()

    def _stop(self) -> None:
        if self._finishing is not None:
            self.should_exit = True
            return
        self._finishing = asyncio.create_task(self._finish_and_exit())

    async def _finish_and_exit(self) -> None:
        try:
            await self._finish()
            self._stop_listening()
            await asyncio.sleep(_LAST_REQUESTS_SECONDS)
            await self._finish_elsewhere()
        finally:
            self.should_exit = True

    def _stop_listening(self) -> None:
        """Refuse new connections: a load balancer goes elsewhere with what it has not sent yet. Those that wait to be
        accepted may have sent something, and are taken.
        """
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            listener.setblocking(False)
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    accepting = loop.connect_accepted_socket(self._protocol, connection, ssl=self.config.ssl)
                    self._last_connections.add(asyncio.ensure_future(accepting))
        for server in self.servers:
            server.close()

    def _protocol(self) -> asyncio.Protocol:
        state = {"server_state": self.server_state, "app_state": self.lifespan.state}
        protocol: asyncio.Protocol = cast(Any, self.config.http_protocol_class)(config=self.config, **state)
        return protocol

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._listeners = list(sockets or ())
        await super().startup(sockets)
        self._ready.set()

    async def run_when_ready(self, on_ready: Callable[[], Awaitable[None]]) -> None:
        await self._ready.wait()
        try:
            await on_ready()
        except BaseException:
            self.should_exit = True
            raise


def _url(settings: Settings, listener: socket.socket) -> str:
    return f"http://{reachable_host(settings.server.host)}:{listener.getsockname()[1]}"
