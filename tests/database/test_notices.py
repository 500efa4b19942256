"""Notices of changes, and connections that die without a word."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

from gateway.database.notices import Notices
from gateway.database.pool import Database, open_database
from gateway.settings import Settings
from tests.support.waiting import until


class Wire:
    """Between a client and PostgreSQL; while `cut` nothing passes, and nobody is told."""

    def __init__(self, socket_folder: str) -> None:
        self._path = f"{socket_folder}/.s.PGSQL.5432"
        self.whole = asyncio.Event()
        self.whole.set()
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            self.whole.set()
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, thither = await asyncio.open_unix_connection(self._path)
        await asyncio.gather(self._pass(reader, thither), self._pass(there, writer), return_exceptions=True)

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self.whole.wait()
                target.write(data)
                await target.drain()
        finally:
            target.close()


async def test_a_connection_that_dies_without_a_word_is_noticed_and_replaced(settings: Settings) -> None:
    parts = urlsplit(settings.database.url)
    wire = Wire(parse_qs(parts.query)["host"][0])
    heard: list[str] = []
    async with wire.running(), open_database(settings, size=2) as database:
        around = Database(database._pool, f"postgresql://postgres@127.0.0.1:{wire.port}{parts.path}", None)
        notices = Notices(around)
        notices.subscribe(heard.append)
        async with notices.listening():
            assert notices.connected
            await database.fetch("suspend_tenant", 1, False)
            await until(lambda: any('"tenant"' in notice for notice in heard))
            wire.whole.clear()
            await until(lambda: not notices.connected)
            heard.clear()
            wire.whole.set()
            await until(lambda: notices.connected)
            # What was said meanwhile is lost: anything may have changed.
            assert heard == [""]
