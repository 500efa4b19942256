"""A way to PostgreSQL that a test can stall or close, without the ends being told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

from gateway.database.pool import Database


class DatabaseProxy:
    """A TCP port in front of a PostgreSQL that listens on a Unix socket, as the one of the tests does.

    While it is stalled nothing passes; while it is closed connections end and none is accepted.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        parts = urlsplit(database.url)
        self._socket = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
        self._path = parts.path
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._port = 0

    @property
    def database(self) -> Database:
        """The database as it is reached through here by what makes connections of its own."""
        url = f"postgresql://postgres@127.0.0.1:{self._port}{self._path}"
        return Database(self._database._pool, url, None)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            self.resume()
            self.close()
            server.close()

    def stall(self) -> None:
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def close(self) -> None:
        self._open = False
        for writer in self._writers:
            writer.close()

    def open(self) -> None:
        self._open = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.close()
            return
        from_database, to_database = await asyncio.open_unix_connection(self._socket)
        await asyncio.gather(self._pass(reader, to_database), self._pass(from_database, writer), return_exceptions=True)

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        self._writers.add(target)
        try:
            while data := await source.read(65536):
                await self._flowing.wait()
                target.write(data)
                await target.drain()
        finally:
            self._writers.discard(target)
            target.close()
