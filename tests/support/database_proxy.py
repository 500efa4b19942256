"""A way to PostgreSQL that a test can stall or close, without the ends being told."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from urllib.parse import parse_qs, urlsplit

from gateway.database.pool import Database

_SSL_REQUEST = 80_877_103


class DatabaseProxy:
    """A TCP port in front of a PostgreSQL that listens on a Unix socket, as the one of the tests does.

    While it is stalled nothing passes; while it is closed connections end and none is accepted.
    """

    def __init__(self, database: Database | str) -> None:
        """In front of the database, or of the one with this URL."""
        self._database = database
        parts = urlsplit(database if isinstance(database, str) else database.url)
        self._socket = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
        self._path = parts.path
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open = True
        self._full = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._listening: set[asyncio.StreamWriter] = set()
        self._listening_flows = asyncio.Event()
        self._listening_flows.set()
        self.port = 0
        self.on_data: Callable[[bytes], None] | None = None
        """Called with all that is about to pass, in either direction."""

    @property
    def url(self) -> str:
        """Where the database is reached through here."""
        return f"postgresql://postgres@127.0.0.1:{self.port}{self._path}"

    @property
    def database(self) -> Database:
        """The database as it is reached through here by what makes connections of its own."""
        assert isinstance(self._database, Database)
        return Database(self._database._pool, self.url, None)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            self.resume()
            self.resume_listening()
            self.close()
            server.close()

    def stall(self) -> None:
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def close(self) -> None:
        self._open = False
        self.cut()

    def cut(self) -> None:
        """End all connections that there are."""
        for writer in list(self._writers):
            writer.close()

    def cut_listening(self) -> None:
        """End those connections alone that listen for notices."""
        for writer in list(self._listening):
            writer.close()

    def stall_listening(self) -> None:
        """Let nothing pass on those connections alone that listen for notices."""
        self._listening_flows.clear()

    def resume_listening(self) -> None:
        self._listening_flows.set()

    def open(self) -> None:
        self._open = True
        self._full = False

    def refuse(self) -> None:
        """From now on say to who connects that there are no connections left, as PostgreSQL does."""
        self._full = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.close()
            return
        if self._full:
            await _refuse(reader, writer)
            return
        from_database, to_database = await asyncio.open_unix_connection(self._socket)
        await asyncio.gather(
            self._pass(reader, to_database, writer), self._pass(from_database, writer, writer), return_exceptions=True
        )

    async def _pass(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        self._writers.add(target)
        try:
            while data := await source.read(65536):
                if b"LISTEN " in data:
                    self._listening.add(client)
                await self._flowing.wait()
                if client in self._listening:
                    await self._listening_flows.wait()
                if self.on_data is not None:
                    self.on_data(data)
                target.write(data)
                await target.drain()
        finally:
            self._writers.discard(target)
            self._listening.discard(client)
            target.close()


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # Whether it may be encrypted is asked first.
    if await reader.readexactly(8) == struct.pack("!II", 8, _SSL_REQUEST):
        writer.write(b"N")
    said = b"SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0"
    writer.write(b"E" + struct.pack("!I", len(said) + 4) + said)
    writer.close()
