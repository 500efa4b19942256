"""Which index the settings mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.database.notices import Notices
from gateway.database.pool import Database
from gateway.embedding.spaces.spaces import Spaces
from gateway.search.cosine_baseline import PATIENCE_SECONDS, CosineBaselines
from gateway.search.index.memory_index import MemoryIndex
from gateway.search.index.pgvector_index import PgvectorIndex
from gateway.search.index.tiered_index import TieredIndex
from gateway.search.index.tool_index import ToolIndex
from gateway.search.index.warm_up import WarmUp
from gateway.search.visible_tools import VisibilityCache
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.search.index.opensearch.client import OpenSearchClient
    from gateway.search.index.opensearch.feed.index_feed import IndexFeed
    from gateway.search.index.opensearch.opensearch_index import OpenSearchIndex


@dataclass(frozen=True, slots=True)
class SearchCluster:
    """The cluster that is searched in: the index in it, what one process of the gateway fills it by, and the client of
    both."""

    client: OpenSearchClient
    index: OpenSearchIndex
    feed: IndexFeed


@dataclass(frozen=True, slots=True)
class OpenedIndex:
    """The index that the settings mean, which the caller closes; `cluster` where it is in one, `warm_up` where it is in
    memory: what a gateway has it read after a start.
    """

    index: ToolIndex
    cluster: SearchCluster | None = None
    warm_up: WarmUp | None = None


async def open_index(
    settings: Settings,
    database: Database,
    spaces: Spaces,
    visibility: VisibilityCache,
    notices: Notices,
    patience_seconds: float | None = PATIENCE_SECONDS,
) -> OpenedIndex:
    """The index that `settings` mean. Raises SettingsError and DatabaseError; no cluster is asked for anything yet."""
    search = settings.search
    baselines = CosineBaselines(database, spaces, patience_seconds)
    in_database = PgvectorIndex(database, baselines, visibility, notices, search.exact_tools)
    if search.index == "pgvector":
        return OpenedIndex(in_database)
    if search.index == "opensearch":
        # Few search in a cluster, and its client takes a while to import.
        from gateway.search.index.opensearch.client import OpenSearchClient
        from gateway.search.index.opensearch.feed.index_feed import IndexFeed
        from gateway.search.index.opensearch.installation import installation_id
        from gateway.search.index.opensearch.opensearch_index import OpenSearchIndex
        from gateway.search.index.opensearch.scope_filter import ScopeFilters
        from gateway.search.index.opensearch.stale_documents import StaleDocuments

        client = OpenSearchClient(settings.opensearch)
        installation = await installation_id(database)
        filters = ScopeFilters(database, notices, installation)
        index = OpenSearchIndex(client, filters, StaleDocuments(database), in_database, search.exact_tools)
        feed = IndexFeed(database, spaces.store, client, installation, notices)
        return OpenedIndex(index, SearchCluster(client, index, feed))
    max_bytes = search.index_mib * 2**20
    memory = MemoryIndex(database, spaces, baselines, visibility, notices, max_bytes)
    return OpenedIndex(TieredIndex(memory, in_database), warm_up=WarmUp(database, spaces, memory, max_bytes))
