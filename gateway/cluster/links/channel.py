"""A connection between two processes that carries whole frames."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeAlias

from gateway.errors import LinkLostError

MAX_FRAME_BYTES = 256 * 1024 * 1024
_LENGTH_BYTES = 4
_CONNECT_SECONDS = 2.0
_FLUSH_SECONDS = 1.0


class Channel(Protocol):
    """Frames in order, each whole or not at all."""

    async def send(self, frame: bytes) -> None:
        """Have a frame on its way; waits while too much is. Raises LinkLostError, and then it is not."""
        ...

    async def receive(self, max_bytes: int = MAX_FRAME_BYTES) -> bytes:
        """The next frame. Raises LinkLostError at the end, and for a frame of more than `max_bytes`."""
        ...

    def close(self) -> None:
        """End it, for both sides; what was sent last has a second to get out."""
        ...


Connect: TypeAlias = Callable[[str], Awaitable[Channel]]
"""Opens a channel to an address. Raises LinkLostError."""

Accept: TypeAlias = Callable[[Channel], Awaitable[None]]
"""Serves a channel that somebody has opened, until it ends."""


class StreamChannel:
    """Frames over TCP: four bytes of length, then the frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        with contextlib.suppress(OSError, AttributeError):
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def send(self, frame: bytes) -> None:
        if self._writer.is_closing():
            raise LinkLostError()
        self._writer.write(len(frame).to_bytes(_LENGTH_BYTES, "big") + frame)
        # The other side may have it: whoever waits for what comes of it learns that the connection ended.
        with contextlib.suppress(OSError):
            await self._writer.drain()

    async def receive(self, max_bytes: int = MAX_FRAME_BYTES) -> bytes:
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
            if length > max_bytes:
                raise LinkLostError()
            return await self._reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            raise LinkLostError() from None

    def close(self) -> None:
        if not self._writer.is_closing():
            self._writer.close()
            # Where the other side reads nothing, it would not end before TCP gives up.
            asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._writer.transport.abort)


async def connect(address: str) -> Channel:
    """A channel to `HOST:PORT`. Raises LinkLostError where nobody answers within 2 s."""
    host, _, port = address.rpartition(":")
    try:
        opening = asyncio.open_connection(host.strip("[]"), int(port))
        return StreamChannel(*await asyncio.wait_for(opening, _CONNECT_SECONDS))
    except (OSError, asyncio.TimeoutError, ValueError):
        raise LinkLostError() from None


@contextlib.asynccontextmanager
async def listening(listener: socket.socket, accept: Accept) -> AsyncIterator[None]:
    """Have `accept` serve each channel that is opened to `listener`, until the block ends."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        channel = StreamChannel(reader, writer)
        try:
            await accept(channel)
        except asyncio.CancelledError:
            # It is the end of this process's part; asyncio would report it as a failure.
            return
        finally:
            serving.discard(task)
            channel.close()

    server = await asyncio.start_server(serve, sock=listener)
    try:
        yield
    finally:
        server.close()
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
