"""The gateway as one ASGI application: everything is built here, once, and handed to those who need it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.access.keys import KeyRing
from gateway.catalog.server import Servers
from gateway.catalog.sync import Sync
from gateway.catalog.vectors import VectorFiller
from gateway.database.notices import Notices
from gateway.database.pool import Database, open_database
from gateway.downstream.authentication import Authentication
from gateway.downstream.endpoint import McpEndpoint
from gateway.downstream.gateway_tools import GatewayTools
from gateway.downstream.mcp_server import McpServer
from gateway.downstream.methods import Methods
from gateway.downstream.oneshot import OneShot
from gateway.downstream.relay import Relay
from gateway.embedding.choice import choose_embedder
from gateway.embedding.spaces import Spaces
from gateway.errors import DatabaseError
from gateway.search.finder import Finder
from gateway.search.scope import Scopes
from gateway.settings import Settings
from gateway.upstream.credentials import open_vault
from gateway.upstream.pool import UpstreamPool

logger = logging.getLogger(__name__)

_WRITE_USE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Parts:
    """The working parts of a gateway, for its routes and for the command line alike."""

    settings: Settings
    database: Database
    notices: Notices
    keys: KeyRing
    servers: Servers
    pool: UpstreamPool
    spaces: Spaces
    scopes: Scopes
    finder: Finder
    sync: Sync


@contextlib.asynccontextmanager
async def open_parts(settings: Settings, *, connections: int | None = None) -> AsyncIterator[Parts]:
    """Build the parts on an open database. `connections` overrides the size of the database pool.

    Raises DatabaseError, MigrationError and SettingsError as their parts do.
    """
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings, size=connections))
        vault = open_vault(settings.server.encryption_key, settings.data_dir)
        embedder = await choose_embedder(settings.embedder)
        spaces = Spaces(database, embedder, settings.embedder)
        stack.push_async_callback(spaces.aclose)
        scopes = Scopes(database, spaces)
        stack.push_async_callback(scopes.aclose)
        pool = await stack.enter_async_context(UpstreamPool(settings.upstream))
        notices = Notices(database)
        servers = Servers(database, vault, settings.upstream, notices)
        yield Parts(
            settings=settings,
            database=database,
            notices=notices,
            keys=KeyRing(database, notices),
            servers=servers,
            pool=pool,
            spaces=spaces,
            scopes=scopes,
            finder=Finder(database, spaces, scopes, settings.search),
            sync=Sync(database, servers, pool, spaces),
        )


class Gateway:
    """Routes and lifespan around the parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        tools = GatewayTools(parts.database, parts.finder, parts.settings)
        relay = Relay(parts.database, parts.servers, parts.pool)
        methods = Methods(parts.database, tools, relay, parts.settings.mcp)
        self._endpoint = McpEndpoint(
            Authentication(parts.keys), McpServer(methods), OneShot(methods), parts.settings.server
        )
        parts.notices.subscribe(parts.scopes.on_notice)
        parts.notices.subscribe(parts.spaces.on_notice)

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/health", self._health),
                Route("/ready", self._ready),
            ],
            middleware=[Middleware(_At, path="/mcp", app_there=self._endpoint)],
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        filler = VectorFiller(self._parts.database, self._parts.spaces)
        async with self._parts.notices.listening(), self._endpoint.running():
            tasks = [asyncio.create_task(filler.run()), asyncio.create_task(self._write_use())]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                with contextlib.suppress(DatabaseError):
                    await self._parts.keys.write_use()

    async def _health(self, _: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"})

    async def _ready(self, _: Request) -> JSONResponse:
        """Which part is not ready, and what to do; 503 while the database or all search is missing."""
        database = {"ready": True, "detail": "The database answers and its migrations are applied."}
        try:
            await self._parts.database.fetch("applied_migrations")
        except DatabaseError as error:
            database = {"ready": False, "detail": error.message}
        health = await self._parts.spaces.embedder.health()
        embedder = {"ready": health.ok, "detail": " ".join(part for part in (health.detail, health.next_step) if part)}
        ready = bool(database["ready"])
        return JSONResponse(
            # Without the embedder searches still answer, by words: that is a part to mend, not a gateway to take away.
            {"ready": ready, "parts": {"database": database, "embedder": embedder}},
            status_code=200 if ready else 503,
        )

    async def _write_use(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_USE_SECONDS)
            try:
                await self._parts.keys.write_use()
            except DatabaseError as error:
                logger.info("When keys were last used could not be written: %s", error)


class _At:
    """Gives requests for one exact path to an application of its own, ahead of the router.

    A mount would answer `/mcp` with a redirect to `/mcp/`, which clients do not follow with a body.
    """

    def __init__(self, app: ASGIApp, path: str, app_there: ASGIApp) -> None:
        self._app = app
        self._path = path
        self._there = app_there

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        there = scope["type"] == "http" and scope["path"].rstrip("/") == self._path
        await (self._there if there else self._app)(scope, receive, send)
