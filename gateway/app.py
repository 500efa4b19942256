"""The gateway as one ASGI application: its routes, and what runs beside them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from urllib.parse import urlsplit

import anyio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.access.connections.needs import ConnectionNeeds
from gateway.access.connections.session_revocation import SessionRevocation
from gateway.admin.application import AdminApplication
from gateway.catalog.review.scan_renewal import ScanRenewal
from gateway.catalog.sync.auto_sync import AutoSync
from gateway.catalog.sync.fill_rate import FillRate
from gateway.catalog.sync.health_check import HealthChecks
from gateway.catalog.sync.tool_terms import TermRenewal
from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.cluster.http_forwarder import HttpForwarder
from gateway.cluster.leader_task import LeaderTask
from gateway.component_metrics import watch_components
from gateway.components import Components
from gateway.database.background import in_background
from gateway.downstream.application import McpApplication, McpLimits
from gateway.downstream.methods.connections.connection_questions import ConnectionQuestions
from gateway.downstream.methods.tools.search_answer import answer_format, format_search_answer
from gateway.downstream.protocol.authentication import METADATA_PATH, PROFILES_PATH
from gateway.downstream.protocol.resource_metadata import ResourceMetadata
from gateway.downstream.protocol.sse.http_sse import SSE_PATH
from gateway.edge.address_counts import AddressCounts
from gateway.edge.forwarded_headers import ForwardedHeaders
from gateway.edge.refusals import Refusals
from gateway.edge.request_context import RequestContext
from gateway.edge.root_path import RootPath, parse_root_path
from gateway.edge.trusted_proxies import TrustedProxies
from gateway.embedding.model_pull import pull_missing_models
from gateway.errors import DatabaseError
from gateway.guards.approval.approval_maintenance import ApprovalMaintenance
from gateway.lasting_task import keep_going
from gateway.metrics_endpoint import METRICS_PATH, MetricsEndpoint
from gateway.search.index.index_factory import SearchCluster
from gateway.search.index.opensearch.feed.feed_report import FeedReports
from gateway.search.index.opensearch.index_overview import IndexOverview
from gateway.settings import Settings

logger = logging.getLogger(__name__)

# Below the timeout of common clients for one request: then it is asked once more.
_CONNECT_WAIT_SECONDS = 50.0
_WRITE_USE_SECONDS = 5.0
# Probes of orchestrators wait for five seconds.
_READY_SECONDS = 3.0
_EMBEDDER_SECONDS = 1.5
# What came at the very end has so long, whatever is left of server.drain_seconds.
_LAST_SECONDS = 1.0


class Gateway:
    """Routes and lifespan around the parts."""

    def __init__(self, parts: Components, mcp_limits: McpLimits | None = None) -> None:
        self._parts = parts
        self._forwarder = parts.cluster.forwarder if parts.cluster is not None else None
        self._metrics_endpoint = MetricsEndpoint(parts.metrics, parts.settings.metrics, self._forwarder)
        self._front = McpApplication(
            parts.settings,
            parts.database,
            parts.notices,
            parts.caller_authenticator,
            parts.servers,
            parts.pool,
            parts.caller_requests,
            ConnectionQuestions(
                parts.personal_credentials,
                parts.connections,
                parts.connection_links,
                parts.notices,
                parts.settings.admin.public_url,
                min(parts.settings.mcp.question_seconds, _CONNECT_WAIT_SECONDS),
            ),
            ConnectionNeeds(parts.database, parts.persons, parts.notices),
            parts.upstream_notifications,
            parts.spaces,
            parts.finder,
            parts.guards,
            parts.use_learning,
            parts.recorder,
            parts.metrics,
            parts.tracing,
            parts.vault,
            parts.approvals,
            parts.approval_watch,
            parts.cluster,
            mcp_limits or McpLimits(),
        )
        client_format = answer_format(parts.settings)
        self._admin = AdminApplication(
            parts.settings,
            database=parts.database,
            keys=parts.keys,
            servers=parts.servers,
            logins=parts.logins,
            persons=parts.persons,
            connections=parts.connections,
            personal_credentials=parts.personal_credentials,
            provider_sign_ins=parts.token_sources.provider_sign_ins,
            connection_links=parts.connection_links,
            caller_requests=parts.caller_requests,
            pool=parts.pool,
            sync=parts.sync,
            spaces=parts.spaces,
            index=parts.index,
            overview=None
            if parts.search_cluster is None
            else IndexOverview(parts.database, parts.search_cluster.client),
            finder=parts.finder,
            guards=parts.guards,
            examples=parts.examples,
            learner=parts.learner,
            recorder=parts.recorder,
            approvals=parts.approvals,
            approval_watch=parts.approval_watch,
            client_answer=lambda request, outcome: format_search_answer(request, outcome, client_format),
        )
        self.refusals = Refusals()
        """What was turned away at the edge; whoever serves this gateway counts there."""
        parts.metrics.watch_counter(
            "modelgate_connections_refused",
            "Connections, and requests of clients behind a proxy, that were turned away, by why",
            lambda: self.refusals.counts,
            label="why",
        )
        # Of each server one process hears: the one that has its sessions.
        self._is_stopping = False
        self._drained_by = 0.0
        self._watch = AutoSync(parts.sync, parts.own_notifications)
        watch_components(parts)

    def application(self) -> Starlette:
        """The ASGI application."""
        server = self._parts.settings.server
        application = Starlette(
            routes=[
                Route("/health", self._health),
                Route("/ready", self._ready),
                Route(METRICS_PATH, self._metrics_endpoint.answer),
                Route(METADATA_PATH + "{path:path}", ResourceMetadata(self._parts.settings).answer),
                *self._front.registry.routes(),
                *self._front.embeddings.routes(),
                *self._front.approvals.routes(),
                *self._admin.routes(),
            ],
            middleware=[
                Middleware(RequestContext, tracing=self._parts.tracing),
                Middleware(
                    ForwardedHeaders,
                    proxies=TrustedProxies(server.trusted_proxies),
                    counts=AddressCounts(server.max_connections_per_address),
                    refusals=self.refusals,
                ),
                Middleware(RootPath, root_path=_root_path(self._parts.settings)),
                Middleware(_LeaderOnly, forwarder=self._forwarder, paths=self._admin_paths()),
                Middleware(_PathDispatcher, path="/mcp", below=PROFILES_PATH, app_at_path=self._front.endpoint),
                Middleware(_PathDispatcher, path=SSE_PATH, below=f"{SSE_PATH}/", app_at_path=self._front.endpoint),
            ],
            lifespan=self._lifespan,
        )
        if self._forwarder is not None:
            forwarded = _ForwardedRequests(self._front.endpoint, application)
            self._forwarder.serve_with(RequestContext(forwarded, self._parts.tracing))
        return application

    def _admin_paths(self) -> frozenset[str]:
        """What the paths of pages and of the REST API begin with."""
        return frozenset(_first_segment(route.path) for route in self._admin.routes())

    async def stop(self) -> None:
        """Answer what MCP clients have under way, for `server.drain_seconds`, and take nothing new from them: it goes
        to another process of the cluster, or is refused where there is none.
        """
        self._is_stopping = True
        self._drained_by = time.monotonic() + self._parts.settings.server.drain_seconds
        if self._parts.cluster is not None:
            await self._parts.cluster.membership.leave()
        cut_off = await self._front.stop(self._parts.settings.server.drain_seconds)
        if cut_off:
            logger.warning("%d calls took longer than server.drain_seconds and were cut off.", cut_off)

    async def finish_elsewhere(self) -> None:
        """Wait until other processes have answered what came here since `stop`, for what is left of
        `server.drain_seconds`.
        """
        await self._front.finish_elsewhere(max(self._drained_by - time.monotonic(), _LAST_SECONDS))

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        parts = self._parts
        rate = FillRate(parts.settings.embedder.fill_texts_per_minute)
        filler = VectorFiller(parts.database, parts.spaces, parts.categories, rate=rate)
        terms = TermRenewal(parts.database)
        scans = ScanRenewal(parts.database, parts.settings.guards, parts.notices)
        approvals = ApprovalMaintenance(parts.database, parts.approvals, parts.approval_watch, parts.approval_webhook)
        health = HealthChecks(
            parts.database, parts.servers, parts.pool, parts.sync, parts.settings.upstream, parts.notices
        )
        session_revocation = SessionRevocation(parts.connections, parts.pool, parts.notices)
        async with (
            self._parts.notices.listening(),
            self._watch.running(),
            self._front.running(),
            self._admin.running(),
        ):
            tasks = [
                asyncio.create_task(_do_in_background(work))
                for work in (
                    self._once(terms.run),
                    self._once(scans.run),
                    *([] if parts.warm_up is None else [parts.warm_up.run]),
                    filler.run,
                    self._once(parts.learner.run),
                    *([] if parts.expansion is None else [self._once(parts.expansion.run)]),
                    self._once(health.run),
                    self._once(approvals.run),
                    self._write_usage,
                    session_revocation.run,
                    self._once(partial(pull_missing_models, parts.settings.embedder)),
                    *(self._feed_cluster(parts.search_cluster) if parts.search_cluster is not None else ()),
                )
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                with contextlib.suppress(DatabaseError):
                    await self._parts.caller_authenticator.write_usage()
                    await self._parts.connections.write_last_used()

    def _feed_cluster(self, cluster: SearchCluster) -> Iterator[Callable[[], Awaitable[None]]]:
        """What one process does for the index in a cluster: it fills it, and says how far it is."""
        reports = FeedReports(self._parts.database)
        yield self._once(cluster.feed.run)
        yield self._once(lambda: reports.follow(lambda: cluster.feed.progress))

    def _once(self, work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """What one process is enough for, as this one is to do it."""
        return work if self._parts.cluster is None else LeaderTask(self._parts.cluster.membership, work).run

    async def _health(self, _: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"})

    async def _ready(self, _: Request) -> JSONResponse:
        """Which part is not ready, and what to do; 503 while the database is missing, and while the gateway stops."""
        database = {"ready": True, "detail": "The database answers and its migrations are applied."}
        try:
            await asyncio.wait_for(self._parts.database.fetch("applied_migrations"), _READY_SECONDS)
        except DatabaseError as error:
            database = {"ready": False, "detail": error.message}
        except asyncio.TimeoutError:
            database = {"ready": False, "detail": f"The database has not answered for {_READY_SECONDS:g} s."}
        embedder = await self._embedder_state()
        recording = self._parts.recorder.state()
        audit = {
            "ready": recording.ready,
            "detail": recording.detail,
            "waiting": recording.waiting,
            "dropped": recording.dropped,
        }
        ready = bool(database["ready"]) and not self._is_stopping
        parts = {"database": database, "embedder": embedder, "audit": audit}
        if (reranking := self._parts.reranking) is not None:
            # It is not asked for this: a language model would be kept busy.
            last = reranking.failure or f"{reranking.label} has not failed when it was last asked"
            parts["reranker"] = {"ready": not reranking.failure, "detail": f"{last}."}
        if (cluster := self._parts.search_cluster) is not None:
            failure = " ".join(cluster.index.failures) or cluster.feed.progress.failure
            detail = f"PostgreSQL answers in its place: {failure}" if failure else "It has not failed when last asked."
            parts["search cluster"] = {"ready": not failure, "detail": detail}
        # Without the embedder searches still answer, by words: that is a part to mend, not a gateway to take away.
        return JSONResponse({"ready": ready, "parts": parts}, status_code=200 if ready else 503)

    async def _embedder_state(self) -> dict[str, object]:
        """Whether the embedder answers; one that hangs is not waited for, for neither do those who ask."""
        with anyio.move_on_after(_EMBEDDER_SECONDS):
            health = await self._parts.spaces.embedder.check_health()
            detail = " ".join(part for part in (health.detail, health.next_step) if part)
            return {"ready": health.ok, "detail": detail}
        return {"ready": False, "detail": f"The embedder has not answered for {_EMBEDDER_SECONDS:g} s."}

    async def _write_usage(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_USE_SECONDS)
            try:
                await self._parts.caller_authenticator.write_usage()
                await self._parts.connections.write_last_used()
            except DatabaseError as error:
                logger.info("When and how much keys and connections were used could not be written: %s", error)


def _root_path(settings: Settings) -> str:
    """Below which path a proxy offers the gateway: as is set, else as the address that browsers have says."""
    return parse_root_path(settings.server.root_path or urlsplit(settings.admin.public_url).path)


def _first_segment(path: str) -> str:
    return path.partition("/")[2].partition("/")[0]


class _LeaderOnly:
    """Has the leader answer what admins ask: how far a sync is and who is on the way to sign in is known there."""

    def __init__(self, app: ASGIApp, forwarder: HttpForwarder | None, paths: frozenset[str]) -> None:
        self._app = app
        self._forwarder = forwarder
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leader = self._forwarder.other_leader if self._forwarder is not None else None
        if leader is not None and scope["type"] == "http" and _first_segment(scope["path"]) in self._paths:
            assert self._forwarder is not None
            if await self._forwarder.forward(leader, scope, receive, send):
                return
        await self._app(scope, receive, send)


class _ForwardedRequests:
    """Answers what another process has from its client, and has looked at as this one would."""

    def __init__(self, mcp: ASGIApp, application: Starlette) -> None:
        self._mcp = mcp
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _first_segment(scope["path"]) in ("mcp", "sse"):
            await self._mcp(scope, receive, send)
        else:
            await self._application.router({**scope, "app": self._application}, receive, send)


async def _do_in_background(work: Callable[[], Awaitable[None]]) -> None:
    with in_background():
        await keep_going(work)


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
