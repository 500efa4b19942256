"""Setting and removing overrides."""

from __future__ import annotations

from gateway.access.roles import refresh_visibility
from gateway.catalog.overrides.stored_overrides import ToolBasis, overridable_tool
from gateway.catalog.sync.text_vectors import TextVectors, embed_texts, in_order_of_use, store_vectors
from gateway.catalog.sync.tool_terms import store_terms
from gateway.catalog.text import ToolTexts, build_tool_texts
from gateway.catalog.tool_override import ToolOverride, basis_of
from gateway.database.connection import DatabaseConnection
from gateway.database.pool import Database
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import ConflictError, EmbeddingError, InvalidInputError, NotFoundError

_KEPT_EMBEDDINGS = 20


class ToolOverrides:
    """Overrides of a tenant's tools."""

    def __init__(self, database: Database, spaces: Spaces) -> None:
        self._database = database
        self._spaces = spaces

    async def set(self, tenant_id: int, tool_id: int, override: ToolOverride, profile_id: int | None = None) -> None:
        """Call and describe a tool so from now on, everywhere or at a profile; one that is empty is removed.

        Raises NotFoundError, InvalidInputError, and ConflictError where the name is another tool's.
        """
        row = await overridable_tool(self._database, tenant_id, tool_id)
        basis = ToolBasis.of(row)
        override.validate(basis.tool)
        if profile_id is not None and await self._database.fetchval("profile_name", tenant_id, profile_id) is None:
            raise NotFoundError(f"There is no profile {profile_id} in this tenant.")
        texts = build_tool_texts(row["server_name"], override.apply(basis.tool))
        space_id, vectors = (None, TextVectors()) if profile_id is not None else await self._embed(texts)
        async with self._database.tenant_transaction(tenant_id) as transaction:
            await transaction.fetchrow("lock_server", tenant_id, row["server_id"])
            current = await transaction.fetchrow("overridable_tool", tenant_id, tool_id)
            if current is None or current["content_hash"] != row["content_hash"]:
                raise ConflictError("The server says something else of this tool since you looked at it; look again.")
            await self._check_name(transaction, tenant_id, tool_id, override.name, profile_id)
            if override.is_empty:
                await transaction.execute("delete_override", tenant_id, tool_id, profile_id)
            else:
                await self._write(transaction, tenant_id, tool_id, profile_id, override, basis)
            if profile_id is None:
                await self._rewrite_tool(transaction, tenant_id, tool_id, override, basis)
                await self._rewrite_texts(transaction, tenant_id, tool_id, texts, space_id, vectors)
            await refresh_visibility(transaction, tenant_id, server_id=row["server_id"])

    async def remove(self, tenant_id: int, tool_id: int, profile_id: int | None = None) -> None:
        """What the server says holds again. Raises NotFoundError."""
        await self.set(tenant_id, tool_id, ToolOverride(), profile_id)

    async def _embed(self, texts: ToolTexts) -> tuple[int | None, TextVectors]:
        """Vectors of the texts, as far as the embedder answers; what it does not is made later."""
        try:
            space_id = (await self._spaces.configured_space()).id
        except EmbeddingError:
            return None, TextVectors()
        return space_id, await embed_texts(self._spaces.embed_each, in_order_of_use([texts]))

    async def _check_name(
        self, transaction: DatabaseConnection, tenant_id: int, tool_id: int, name: str | None, profile_id: int | None
    ) -> None:
        if name is None:
            return
        if await transaction.fetchval("tool_with_name", tenant_id, tool_id, name, profile_id) is not None:
            raise InvalidInputError(f"Another tool is called {name} already; choose another name.", "name")

    async def _write(
        self,
        transaction: DatabaseConnection,
        tenant_id: int,
        tool_id: int,
        profile_id: int | None,
        override: ToolOverride,
        basis: ToolBasis,
    ) -> None:
        await transaction.execute(
            "upsert_override",
            tenant_id,
            tool_id,
            profile_id,
            override.name,
            override.title,
            override.description,
            override.category,
            dict(override.parameters),
            basis_of(basis.tool, basis.name, basis.category),
        )

    async def _rewrite_tool(
        self, transaction: DatabaseConnection, tenant_id: int, tool_id: int, override: ToolOverride, basis: ToolBasis
    ) -> None:
        await transaction.execute(
            "write_override",
            tenant_id,
            tool_id,
            override.name or basis.name,
            override.category or basis.category,
            override.apply(basis.tool).json if override.changes_definition else None,
            basis.tool.json,
        )

    async def _rewrite_texts(
        self,
        transaction: DatabaseConnection,
        tenant_id: int,
        tool_id: int,
        texts: ToolTexts,
        space_id: int | None,
        vectors: TextVectors,
    ) -> None:
        """What search goes by; where no vectors could be made, the tool is found by words until it has some."""
        await transaction.execute("save_former_embeddings", tenant_id, [tool_id])
        await transaction.execute("drop_old_former_embeddings", tenant_id, [tool_id], _KEPT_EMBEDDINGS)
        await store_terms(transaction, tenant_id, {tool_id: texts})
        await transaction.execute("drop_stale_embeddings", tenant_id, [tool_id], [texts.hash])
        if space_id is not None:
            await store_vectors(transaction, tenant_id, space_id, {tool_id: texts}, vectors)
