"""The gateway as one ASGI application: its routes, and what runs beside them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.admin.application import AdminApplication
from gateway.catalog.sync.auto_sync import AutoSync
from gateway.catalog.sync.health_check import HealthChecks
from gateway.catalog.sync.tool_terms import TermRenewal
from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.components import Components
from gateway.downstream.application import McpApplication, McpLimits
from gateway.downstream.methods.search_answer import answer_format, format_search_answer
from gateway.downstream.protocol.authentication import METADATA_PATH, PROFILES_PATH
from gateway.downstream.protocol.http_sse import SSE_PATH
from gateway.downstream.protocol.resource_metadata import ResourceMetadata
from gateway.edge.address_counts import AddressCounts
from gateway.edge.forwarded_headers import ForwardedHeaders
from gateway.edge.root_path import RootPath, parse_root_path
from gateway.edge.trusted_proxies import TrustedProxies
from gateway.embedding.model_pull import pull_missing_model
from gateway.errors import DatabaseError
from gateway.metrics_endpoint import METRICS_PATH, MetricsEndpoint
from gateway.settings import Settings

logger = logging.getLogger(__name__)

_WRITE_USE_SECONDS = 5.0
_READY_SECONDS = 3.0


class Gateway:
    """Routes and lifespan around the parts."""

    def __init__(self, parts: Components, mcp_limits: McpLimits | None = None) -> None:
        self._parts = parts
        self._front = McpApplication(
            parts.settings,
            parts.database,
            parts.notices,
            parts.caller_authenticator,
            parts.servers,
            parts.pool,
            parts.upstream_notifications,
            parts.spaces,
            parts.finder,
            parts.recorder,
            parts.metrics,
            parts.vault,
            mcp_limits or McpLimits(),
        )
        client_format = answer_format(parts.settings)
        self._admin = AdminApplication(
            parts.settings,
            database=parts.database,
            keys=parts.keys,
            servers=parts.servers,
            logins=parts.logins,
            pool=parts.pool,
            sync=parts.sync,
            spaces=parts.spaces,
            index=parts.index,
            finder=parts.finder,
            recorder=parts.recorder,
            client_answer=lambda request, outcome: format_search_answer(request, outcome, client_format),
        )
        self._watch = AutoSync(parts.sync, parts.upstream_notifications)
        _watch_components(parts)

    def application(self) -> Starlette:
        """The ASGI application."""
        server = self._parts.settings.server
        return Starlette(
            routes=[
                Route("/health", self._health),
                Route("/ready", self._ready),
                Route(METRICS_PATH, MetricsEndpoint(self._parts.metrics, self._parts.settings.metrics).answer),
                Route(METADATA_PATH + "{path:path}", ResourceMetadata(self._parts.settings).answer),
                *self._front.registry.routes(),
                *self._front.embeddings.routes(),
                *self._admin.routes(),
            ],
            middleware=[
                Middleware(
                    ForwardedHeaders,
                    proxies=TrustedProxies(server.trusted_proxies),
                    counts=AddressCounts(server.max_connections_per_address),
                ),
                Middleware(RootPath, root_path=_root_path(self._parts.settings)),
                Middleware(_PathDispatcher, path="/mcp", below=PROFILES_PATH, app_at_path=self._front.endpoint),
                Middleware(_PathDispatcher, path=SSE_PATH, below=f"{SSE_PATH}/", app_at_path=self._front.endpoint),
            ],
            lifespan=self._lifespan,
        )

    async def stop(self) -> None:
        """Answer what MCP clients have under way, for `server.drain_seconds`, and take nothing new from them."""
        cut_off = await self._front.stop(self._parts.settings.server.drain_seconds)
        if cut_off:
            logger.warning("%d calls took longer than server.drain_seconds and were cut off.", cut_off)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        parts = self._parts
        filler = VectorFiller(parts.database, parts.spaces)
        terms = TermRenewal(parts.database)
        health = HealthChecks(parts.database, parts.servers, parts.pool, parts.sync, parts.settings.upstream)
        async with self._parts.notices.listening(), self._watch.running(), self._front.running(), self._admin.running():
            pull = pull_missing_model(parts.settings.embedder)
            tasks = [
                asyncio.create_task(work)
                for work in (terms.run(), filler.run(), health.run(), self._write_usage(), pull)
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                with contextlib.suppress(DatabaseError):
                    await self._parts.caller_authenticator.write_usage()

    async def _health(self, _: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"})

    async def _ready(self, _: Request) -> JSONResponse:
        """Which part is not ready, and what to do; 503 while the database or all search is missing."""
        database = {"ready": True, "detail": "The database answers and its migrations are applied."}
        try:
            await asyncio.wait_for(self._parts.database.fetch("applied_migrations"), _READY_SECONDS)
        except DatabaseError as error:
            database = {"ready": False, "detail": error.message}
        except asyncio.TimeoutError:
            database = {"ready": False, "detail": f"The database has not answered for {_READY_SECONDS:g} s."}
        health = await self._parts.spaces.embedder.check_health()
        embedder = {"ready": health.ok, "detail": " ".join(part for part in (health.detail, health.next_step) if part)}
        recording = self._parts.recorder.state()
        audit = {
            "ready": recording.ready,
            "detail": recording.detail,
            "waiting": recording.waiting,
            "dropped": recording.dropped,
        }
        ready = bool(database["ready"])
        parts = {"database": database, "embedder": embedder, "audit": audit}
        if (reranking := self._parts.reranking) is not None:
            # It is not asked for this: a language model would be kept busy.
            last = reranking.failure or f"{reranking.label} has not failed when it was last asked"
            parts["reranker"] = {"ready": not reranking.failure, "detail": f"{last}."}
        # Without the embedder searches still answer, by words: that is a part to mend, not a gateway to take away.
        return JSONResponse({"ready": ready, "parts": parts}, status_code=200 if ready else 503)

    async def _write_usage(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_USE_SECONDS)
            try:
                await self._parts.caller_authenticator.write_usage()
            except DatabaseError as error:
                logger.info("When and how much keys were used could not be written: %s", error)


def _watch_components(parts: Components) -> None:
    """Have what the parts say of themselves among the metrics."""
    metrics, recorder = parts.metrics, parts.recorder
    metrics.watch(
        "modelgate_database_connections", "Pooled connections", lambda: parts.database.connections, label="state"
    )
    metrics.watch("modelgate_upstream_servers", "Upstream servers in use", parts.pool.states, label="state")
    metrics.watch("modelgate_index_bytes", "Memory of the search index", lambda: {"": parts.index.size_bytes})
    metrics.watch(
        "modelgate_tools_without_vectors",
        "Tools that lack a vector, because it is not made yet or the embedder refuses a text",
        lambda: parts.spaces.lacking,
        label="why",
    )
    metrics.watch(
        "modelgate_query_cache",
        "Queries by where their vectors came from; embedded ones cost a call",
        lambda: parts.spaces.query_cache.lookups,
        label="source",
    )
    queries = parts.spaces.queries
    metrics.watch("modelgate_embedded_queries", "Queries that a space answered", lambda: queries.count, label="space")
    metrics.watch(
        "modelgate_embedded_query_seconds", "Seconds that these took in all", lambda: queries.seconds, label="space"
    )
    metrics.watch("modelgate_audit_waiting", "Events not written yet", lambda: {"": recorder.state().waiting})
    metrics.watch("modelgate_audit_dropped", "Events that never will be", lambda: {"": recorder.state().dropped})
    metrics.watch("modelgate_notices_connected", "1 while changes are told", lambda: {"": parts.notices.connected})


def _root_path(settings: Settings) -> str:
    """Below which path a proxy offers the gateway: as is set, else as the address that browsers have says."""
    return parse_root_path(settings.server.root_path or urlsplit(settings.admin.public_url).path)


class _PathDispatcher:
    """Gives requests for one path, and for those below `below`, to an application of their own, ahead of the router.

    A mount would answer `/mcp` with a redirect to `/mcp/`, which clients do not follow with a body.
    """

    def __init__(self, app: ASGIApp, path: str, below: str, app_at_path: ASGIApp) -> None:
        self._app = app
        self._path = path
        self._below = below
        self._app_at_path = app_at_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        there = scope["type"] == "http" and (path.rstrip("/") == self._path or path.startswith(self._below))
        await (self._app_at_path if there else self._app)(scope, receive, send)
