"""The embedding spaces, the embedder behind them, and where their vectors are searched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.embedding.spaces.space_switch import SpaceState, SpaceStatus, SpaceSwitch
from gateway.embedding.spaces.spaces import Spaces
from gateway.search.index.tool_index import ToolIndex
from gateway.settings import SearchSettings

_MAX_REFUSED = 50


@dataclass(frozen=True, slots=True)
class SpaceCard:
    """An embedding space, with how many tools of the tenant have vectors in it. `active`: searches use it.

    Of `refused` tools the embedder takes a text not at all, of `cut` ones the beginning of a text only. `progress` is
    the share of the tools of all tenants, 0 to 1, that have all their vectors in it; `share` the percent of searches
    that it answers beside the one that is active.
    """

    id: int
    provider: str
    model: str
    dimensions: int
    active: bool
    created_at: datetime
    tools: int
    refused: int
    cut: int
    state: SpaceState
    share: int
    remark: str
    build: str
    progress: float


@dataclass(frozen=True, slots=True)
class SpaceSwitchInput:
    """Which space is to serve, None for the newest that does not, and how much: percent of the searches."""

    space: int | None = None
    share: Annotated[int, Field(ge=1, le=100)] = 100


@dataclass(frozen=True, slots=True)
class RefusedTool:
    """A tool of which the embedder refuses a text: `texts` are `name`, `description` or `combined`, with the reason."""

    tool: str
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EmbedderState:
    """Whether the configured embedder answers; `next_step` says what to do where it does not."""

    ok: bool
    model: str
    detail: str
    next_step: str
    latency_ms: float | None


@dataclass(frozen=True, slots=True)
class QueryCacheCard:
    """The cache of query vectors: how many the database keeps, and since this process began, how many were `looked_up`
    and which share of them (0 to 1, null before the first) cost no call of the embedder.
    """

    stored: int
    looked_up: int
    hit_rate: float | None


@dataclass(frozen=True, slots=True)
class EmbeddingView:
    """`tools` counts the tenant's tools, `embedded` those that have vectors in the active space; `refused` are those of
    which the embedder refuses a text, the first fifty of them.

    `too_large_for_memory`: when they were last searched they took more than `index_mib`, and PostgreSQL was asked.
    """

    embedder: EmbedderState
    tools: int
    embedded: int
    spaces: tuple[SpaceCard, ...]
    refused: tuple[RefusedTool, ...]
    too_large_for_memory: bool
    index_mib: int
    query_cache: QueryCacheCard


class EmbeddingService:
    """Embedding, seen from a tenant."""

    def __init__(self, database: Database, spaces: Spaces, index: ToolIndex, settings: SearchSettings) -> None:
        self._database = database
        self._spaces = spaces
        self._index = index
        self._settings = settings
        self._switch = SpaceSwitch(spaces.store)

    async def get(self, tenant_id: int) -> EmbeddingView:
        """How embedding does."""
        cache = self._spaces.query_cache
        health = await self._spaces.embedder.check_health()
        rows = await self._database.fetch("spaces_with_tool_counts", tenant_id)
        counts = await self._database.fetchrow("overview_counts", tenant_id)
        assert counts is not None
        by_id = {status.record.stored.id: status for status in await self._switch.status()}
        spaces = tuple(_card(row, by_id[row["id"]]) for row in rows if row["id"] in by_id)
        active = next((space.id for space in spaces if space.active), None)
        refused = await self._database.fetch("refused_texts", tenant_id, active, _MAX_REFUSED)
        return EmbeddingView(
            embedder=EmbedderState(health.ok, health.model, health.detail, health.next_step, health.latency_ms),
            tools=counts["tools"],
            embedded=next((space.tools for space in spaces if space.active), 0),
            spaces=spaces,
            refused=tuple(RefusedTool(row["tool"], row["refused"]) for row in refused),
            too_large_for_memory=tenant_id in self._index.tenants_in_database,
            index_mib=self._settings.index_mib,
            query_cache=QueryCacheCard(await cache.count_stored(), int(sum(cache.lookups.values())), cache.hit_rate),
        )

    async def clear_cache(self) -> None:
        """Forget the vectors of all queries, in every process."""
        await self._spaces.query_cache.clear()

    async def switch(self, wanted: SpaceSwitchInput) -> None:
        """Let a space serve, or a share of the searches. Raises NotFoundError and ConflictError."""
        await self._switch.switch(wanted.space, wanted.share)

    async def pause(self, space_id: int) -> None:
        """Neither fill a space nor switch to it for now. Raises NotFoundError and ConflictError."""
        await self._switch.pause(space_id)

    async def resume(self, space_id: int) -> None:
        """Go on with a space that is paused. Raises NotFoundError."""
        await self._switch.resume(space_id)

    async def drop(self, space_id: int) -> None:
        """Drop a space with its vectors. Raises NotFoundError and ConflictError."""
        await self._switch.drop(space_id)


def _card(row: Row, status: SpaceStatus) -> SpaceCard:
    return SpaceCard(
        **row,
        state=status.state,
        share=status.record.share,
        remark=status.remark,
        build=status.record.stored.space.build,
        progress=status.embedded / status.tools if status.tools else 1.0,
    )
