"""What a search needs, built together: for a gateway as part of its components, for a command by itself."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.catalog.overrides.profile_overrides import ProfileOverrides
from gateway.database.notices import Notices
from gateway.database.pool import Database
from gateway.embedding.embedder_factory import choose_embedder, choose_standby
from gateway.embedding.spaces.language_routes import open_language_routes
from gateway.embedding.spaces.space_store import SpaceStore
from gateway.embedding.spaces.spaces import Spaces
from gateway.search.cosine_baseline import PATIENCE_SECONDS
from gateway.search.finder import Finder
from gateway.search.index.index_factory import SearchCluster, open_index
from gateway.search.index.tool_index import ToolIndex
from gateway.search.index.warm_up import WarmUp
from gateway.search.rerank.reranker_factory import open_reranking
from gateway.search.rerank.reranking import Reranking
from gateway.search.visible_tools import VisibilityCache
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class SearchParts:
    """The finder, and what it is built of. `cluster` is there where searches are made in one, `warm_up` where they are
    made in memory, `reranking` where it is set.
    """

    spaces: Spaces
    visibility: VisibilityCache
    index: ToolIndex
    cluster: SearchCluster | None
    warm_up: WarmUp | None
    reranking: Reranking | None
    finder: Finder


@contextlib.asynccontextmanager
async def open_search(
    settings: Settings,
    database: Database,
    notices: Notices,
    metrics: Metrics | None = None,
    patience_seconds: float | None = PATIENCE_SECONDS,
) -> AsyncIterator[SearchParts]:
    """The parts that `settings` mean, until the block ends. Raises SettingsError and DatabaseError.

    A search waits for `patience_seconds` at most, None is for as long as it takes, for what only later ones have else:
    the measure of its scores.
    """
    async with contextlib.AsyncExitStack() as stack:
        serving = next((record.stored.space for record in await SpaceStore(database).records() if record.active), None)
        embedder = await choose_embedder(settings.embedder, serving)
        standby = choose_standby(settings.embedder, embedder)
        routes = open_language_routes(settings.embedder, database)
        spaces = Spaces(database, embedder, settings.embedder, notices, standby, routes, metrics)
        stack.push_async_callback(spaces.aclose)
        visibility = VisibilityCache(database, notices)
        opened = await open_index(settings, database, spaces, visibility, notices, patience_seconds)
        spaces.before_switch(opened.index.prepare)
        stack.push_async_callback(opened.index.aclose)
        reranking = open_reranking(settings.rerank)
        if reranking is not None:
            stack.push_async_callback(reranking.aclose)
        finder = Finder(database, spaces, opened.index, settings.search, reranking, ProfileOverrides(database, notices))
        yield SearchParts(spaces, visibility, opened.index, opened.cluster, opened.warm_up, reranking, finder)
