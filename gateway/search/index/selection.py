"""Which index the settings mean."""

from __future__ import annotations

from gateway.database.notices import Notices
from gateway.database.pool import Database
from gateway.embedding.spaces import Spaces
from gateway.search.index.memory_index import MemoryIndex
from gateway.search.index.pgvector_index import PgvectorIndex
from gateway.search.index.tiered_index import TieredIndex
from gateway.search.index.tool_index import ToolIndex
from gateway.search.visible_tools import VisibilityCache
from gateway.settings import SearchSettings


def open_index(
    settings: SearchSettings, database: Database, spaces: Spaces, visibility: VisibilityCache, notices: Notices
) -> ToolIndex:
    """The index that `settings` mean; the caller closes it."""
    in_database = PgvectorIndex(database, spaces, visibility, notices, settings.exact_tools)
    if settings.index == "pgvector":
        return in_database
    memory = MemoryIndex(database, spaces, visibility, notices, settings.index_mib * 2**20)
    return TieredIndex(memory, in_database)
