"""A catalogue with vectors that a test chooses, written as a sync writes it, and all indexes over it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from gateway.access.roles import create_role, refresh_visibility
from gateway.catalog.sync.tool_terms import store_terms
from gateway.catalog.text import build_tool_texts
from gateway.catalog.tool import parse_tool
from gateway.database.notices import Notices
from gateway.database.pool import Database, open_database
from gateway.embedding.embedder import EmbeddingSpace, Vectors
from gateway.embedding.spaces.query_embedding import QueryVectors
from gateway.embedding.spaces.space_store import SpaceStore, StoredSpace
from gateway.embedding.spaces.spaces import Spaces
from gateway.search.cosine_baseline import CosineBaselines
from gateway.search.index.memory_index import MemoryIndex
from gateway.search.index.opensearch.client import OpenSearchClient
from gateway.search.index.opensearch.feed.index_feed import IndexFeed
from gateway.search.index.opensearch.installation import installation_id
from gateway.search.index.opensearch.opensearch_index import OpenSearchIndex
from gateway.search.index.opensearch.scope_filter import ScopeFilters
from gateway.search.index.opensearch.scope_measurement import FIRST_DEPTH
from gateway.search.index.opensearch.stale_documents import StaleDocuments
from gateway.search.index.pgvector_index import PgvectorIndex
from gateway.search.visible_tools import VisibilityCache
from gateway.settings import OpenSearchSettings, Settings
from tests.support.catalogue import direct_connection

TENANT = 1
DIMENSIONS = 4
MIB = 2**20


@dataclass(frozen=True, slots=True)
class CataloguedTool:
    """A tool; `server` is the slug of its server, `vector` all three of its vectors, `learnt` what was learnt in their
    place, the correction last.
    """

    server: str
    name: str
    description: str = ""
    category: str = "other"
    vector: tuple[float, ...] | None = (1.0, 0.0, 0.0, 0.0)
    visible_to: tuple[str, ...] | None = None
    learnt: tuple[float, ...] | None = None

    @property
    def exposed_name(self) -> str:
        return f"{self.server}__{self.name}".replace(".", "_")


class FixedSpaces(Spaces):
    """Embeds every text as the same vectors, all over the space."""

    def __init__(self, stored: StoredSpace, store: SpaceStore) -> None:
        self.stored = stored
        self.store = store

    async def known_active_space(self) -> StoredSpace:
        return self.stored

    async def upcoming_space(self) -> StoredSpace | None:
        return None

    async def embed_queries(self, texts: Sequence[str]) -> QueryVectors:
        vectors: Vectors = np.random.default_rng(1).normal(size=(len(texts), DIMENSIONS)).astype(np.float32)
        return QueryVectors(self.stored, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    async def embed_queries_in(self, stored: StoredSpace, texts: Sequence[str]) -> Vectors:
        return (await self.embed_queries(texts)).vectors


@dataclass
class IndexedCatalogue:
    """The catalogue of the default tenant in a space of four dimensions."""

    database: Database
    space: StoredSpace
    servers: dict[str, int] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)

    @property
    def spaces(self) -> FixedSpaces:
        return FixedSpaces(self.space, SpaceStore(self.database))

    @property
    def baselines(self) -> CosineBaselines:
        return CosineBaselines(self.database, self.spaces)

    def memory(self, notices: Notices, max_bytes: int = 64 * MIB) -> MemoryIndex:
        visibility = VisibilityCache(self.database, notices)
        return MemoryIndex(self.database, self.spaces, self.baselines, visibility, notices, max_bytes)

    def pgvector(self, notices: Notices, exact_tools: int = 50_000) -> PgvectorIndex:
        visibility = VisibilityCache(self.database, notices)
        return PgvectorIndex(self.database, self.baselines, visibility, notices, exact_tools)

    @contextlib.asynccontextmanager
    async def opensearch(
        self, notices: Notices, settings: OpenSearchSettings, *, exact_tools: int = 50_000, depth: int = FIRST_DEPTH
    ) -> AsyncIterator[tuple[OpenSearchIndex, IndexFeed]]:
        """The index in that cluster, and what keeps it up to the catalogue whenever it is told to catch up."""
        client = OpenSearchClient(settings)
        installation = await installation_id(self.database)
        index = OpenSearchIndex(
            client,
            ScopeFilters(self.database, notices, installation),
            StaleDocuments(self.database),
            self.pgvector(notices, exact_tools),
            exact_tools,
            depth=depth,
            statistics_seconds=0,
        )
        try:
            yield index, IndexFeed(self.database, SpaceStore(self.database), client, installation, notices)
        finally:
            await index.aclose()

    async def upsert(self, *tools: CataloguedTool, tenant_id: int = TENANT) -> None:
        """Add these tools, or make those of these names what is given."""
        async with self.database.transaction() as transaction:
            for tool in tools:
                if tool.server not in self.servers:
                    self.servers[tool.server] = await self._add_server(tenant_id, tool.server)
                definition = parse_tool(_definition(tool))
                server_id, known = self.servers[tool.server], self.ids.get(tool.exposed_name)
                values = (tool.category, definition.json, definition.content_hash)
                if known is None:
                    known = await transaction.fetchval(
                        "insert_tool", tenant_id, server_id, tool.name, tool.exposed_name, *values
                    )
                else:
                    await transaction.execute("update_tool", tenant_id, known, *values[1:], None)
                    await transaction.execute("propose_categories", tenant_id, [known], [tool.category])
                self.ids[tool.exposed_name] = known
                texts = build_tool_texts(tool.server.title(), definition)
                await store_terms(transaction, tenant_id, {known: texts})
                await transaction.execute("drop_stale_embeddings", tenant_id, [known], [b"none has this"])
                if tool.vector is not None:
                    vector = np.array(tool.vector, np.float32)
                    await transaction.execute(
                        "upsert_embedding",
                        tenant_id,
                        known,
                        self.space.id,
                        texts.hash,
                        *[vector] * 3,
                        {},
                        [],
                        True,
                    )
                    if tool.learnt is not None:
                        *numbers, correction = tool.learnt
                        learnt = (texts.hash, np.array(numbers, np.float32), correction, 1, 1, "")
                        await transaction.execute("store_learnt", tenant_id, known, self.space.id, *learnt)
            await refresh_visibility(transaction, tenant_id)

    async def hide(self, *names: str) -> None:
        """The servers no longer list the tools of these exposed names."""
        async with self.database.transaction() as transaction:
            ids = [self.ids[name] for name in names]
            await transaction.execute("mark_tools_removed", TENANT, ids)
            await transaction.execute("delete_terms", TENANT, ids)
            await refresh_visibility(transaction, TENANT)

    async def remove_server(self, slug: str) -> None:
        async with self.database.transaction() as transaction:
            await transaction.execute("delete_server", TENANT, self.servers.pop(slug))
            await refresh_visibility(transaction, TENANT)
        for name in [name for name in self.ids if name.startswith(f"{slug}__")]:
            del self.ids[name]

    async def add_role(self, name: str, *visible: str) -> int:
        """A role that finds the tools of these exposed names, and no others."""
        role = await create_role(self.database, TENANT, name)
        await self.set_visible(role.id, *visible)
        return role.id

    async def set_visible(self, role_id: int, *visible: str) -> None:
        """From now on the role finds these, and no others."""
        async with direct_connection(self.database) as connection:
            await connection.execute("DELETE FROM role_rules WHERE role_id = $1", role_id)
            await connection.execute(
                "INSERT INTO role_rules (tenant_id, role_id, tool_id, visibility) "
                "SELECT 1, $1, id, 'SEARCH' FROM unnest($2::bigint[]) AS id",
                role_id,
                [self.ids[name] for name in visible],
            )
        async with self.database.transaction() as transaction:
            await refresh_visibility(transaction, TENANT, role_id=role_id)

    async def clear(self) -> None:
        """No servers, tools or roles."""
        async with direct_connection(self.database) as connection:
            await connection.execute("DELETE FROM roles WHERE tenant_id = 1")
        for slug in list(self.servers):
            await self.remove_server(slug)

    async def _add_server(self, tenant_id: int, slug: str) -> int:
        async with direct_connection(self.database) as connection:
            server_id: int = await connection.fetchval(
                "INSERT INTO servers (tenant_id, name, slug, transport, url) "
                "VALUES ($1, $2, $3, 'http', 'http://127.0.0.1:9/mcp') RETURNING id",
                tenant_id,
                slug.title(),
                slug,
            )
        return server_id


@contextlib.asynccontextmanager
async def indexed_catalogue(settings: Settings) -> AsyncIterator[IndexedCatalogue]:
    """An empty one, with a space that serves."""
    space = EmbeddingSpace("test", "four numbers", DIMENSIONS, "", "")
    async with open_database(settings) as database:
        yield IndexedCatalogue(database, await SpaceStore(database).register(space))


def _definition(tool: CataloguedTool) -> object:
    definition = {"name": tool.name, "description": tool.description, "inputSchema": {"type": "object"}}
    if tool.visible_to is not None:
        definition["_meta"] = {"ui": {"visibility": list(tool.visible_to)}}
    return json.loads(json.dumps(definition))
