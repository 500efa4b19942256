"""The HTTP server of a gateway, from taking the port to stopping on a signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator

import uvicorn

from gateway.app import Gateway
from gateway.components import Components, open_components
from gateway.database.actor import GATEWAY, acting_as
from gateway.edge.server_config import server_config
from gateway.errors import SettingsError
from gateway.settings import Settings

_BACKLOG = 2048
# A sync shows its tools after so long; those that have no vectors by then get them in the background.
_EMBED_SECONDS = 5.0
_STOP_SECONDS = 5


def open_listening_socket(settings: Settings) -> socket.socket:
    """Take the port before anything else is started. Raises SettingsError when it cannot be had."""
    host, port = settings.server.host, settings.server.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}); stop what uses it, or set "
            "server.port to another port."
        ) from None
    return listener


async def serve_gateway(
    settings: Settings, listener: socket.socket, on_ready: Callable[[Components, str], Awaitable[None]]
) -> None:
    """Serve a gateway on `listener` until a signal stops it; `on_ready` gets its components and its URL.

    What `on_ready` raises stops the gateway, and is raised here.
    """
    # From here on it is not the person who started it that acts.
    with listener, acting_as(GATEWAY):
        async with open_components(settings, embed_seconds=_EMBED_SECONDS) as components:
            gateway = Gateway(components)
            config = server_config(gateway.application(), settings.server, _STOP_SECONDS)
            server = _GatewayServer(config, gateway.stop)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            url = _url(settings, listener)
            announcing = asyncio.create_task(server.run_when_ready(lambda: on_ready(components, url)))
            await serving
            announcing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await announcing


class _GatewayServer(uvicorn.Server):
    """Knows when requests are answered, ends when what is done then fails, and leaves signals at that.

    Uvicorn would raise a signal again after it has stopped serving, which would end the process before the database and
    the upstream servers are stopped.
    """

    def __init__(self, config: uvicorn.Config, finish: Callable[[], Awaitable[None]]) -> None:
        """`finish` is awaited between the signal and the end; a second signal ends at once."""
        super().__init__(config)
        self._ready = asyncio.Event()
        self._finish = finish
        self._finishing: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        # Not taken back: what is left to stop is stopped in any case.
        yield

    def _stop(self) -> None:
        if self._finishing is not None:
            self.should_exit = True
            return
        self._finishing = asyncio.create_task(self._finish_and_exit())

    async def _finish_and_exit(self) -> None:
        try:
            await self._finish()
        finally:
            self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
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
    host = settings.server.host
    reachable = "127.0.0.1" if host in ("0.0.0.0", "::", "") else f"[{host}]" if ":" in host else host  # noqa: S104  # nosec
    return f"http://{reachable}:{listener.getsockname()[1]}"
