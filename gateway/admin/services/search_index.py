"""Where searches run, and the indexes in a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.errors import ConflictError
from gateway.search.index.opensearch.index_overview import ClusterView, IndexOverview

IndexEngine = Literal["memory", "pgvector", "opensearch"]


@dataclass(frozen=True, slots=True)
class SearchIndexView:
    """Where searches run; `cluster` is what is known of it where that is one."""

    engine: IndexEngine
    cluster: ClusterView | None


@dataclass(frozen=True, slots=True)
class IndexRebuildInput:
    """The space whose index is to be built anew, None for that of all searches."""

    space: int | None = None


@dataclass(frozen=True, slots=True)
class IndexDropInput:
    """The index that is to be dropped, None for all of this gateway's."""

    name: str | None = None


class SearchIndexService:
    """The index of all tenants."""

    def __init__(self, engine: IndexEngine, overview: IndexOverview | None) -> None:
        """`overview` is there where the engine is a cluster."""
        self._engine = engine
        self._overview = overview

    async def get(self) -> SearchIndexView:
        """How it does."""
        cluster = None if self._overview is None else await self._overview.view()
        return SearchIndexView(self._engine, cluster)

    async def rebuild(self, wanted: IndexRebuildInput) -> None:
        """Have a new index filled beside the one that serves. Raises NotFoundError, ConflictError, OpenSearchError."""
        await self._required().rebuild(wanted.space)

    async def drop(self, wanted: IndexDropInput) -> None:
        """Delete an index, or all, which are built anew. Raises NotFoundError, ConflictError and OpenSearchError."""
        await self._required().drop(wanted.name)

    def _required(self) -> IndexOverview:
        if self._overview is None:
            raise ConflictError(
                f'Searches run elsewhere (search.index is "{self._engine}"), so that there is no index in a cluster; '
                'set it to "opensearch" first.'
            )
        return self._overview
