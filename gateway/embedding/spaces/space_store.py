"""The embedding spaces as the database keeps them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

import numpy as np

from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.embedding.embedder import EmbeddingSpace, Vectors
from gateway.errors import DatabaseError

logger = logging.getLogger(__name__)

MAX_INDEXED_DIMENSIONS = 4_000
"""pgvector can build an HNSW index over at most so many dimensions of a halfvec; of more, all vectors are compared."""

# A process that died while it filled a space is waited for so long.
_LEASE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class StoredSpace:
    """A space with the number under which the database keeps its vectors."""

    id: int
    space: EmbeddingSpace


@dataclass(frozen=True, slots=True)
class SpaceRecord:
    """A space with how it stands: `share` is the percent of searches that it answers beside the active one, `paused`
    why it is neither filled nor switched to, `is_gone` whether the weights that made it are not there any more,
    `languages` those of which it answers the queries in any case, `is_standby` whether it answers while the embedder of
    the others does not.

    `probes` are the vectors of the probe texts, float32 (n, d), as they first were; None where there are none.
    """

    stored: StoredSpace
    active: bool
    is_gone: bool
    share: int
    paused: str
    filled_at: datetime | None
    retired_at: datetime | None
    created_at: datetime
    probes: Vectors | None
    languages: tuple[str, ...] = ()
    is_standby: bool = False

    @property
    def is_searched(self) -> bool:
        """Whether searches are answered in it, or are to be: what is searched outside of the database has it then."""
        if self.active:
            return True
        is_wanted = self.retired_at is None or self.share > 0 or self.is_standby or bool(self.languages)
        return is_wanted and not self.is_gone


@dataclass(frozen=True, slots=True)
class SpaceProgress:
    """How many tools there are in all, and how many of them have all their vectors in a space."""

    tools: int
    embedded: int


class SpaceStore:
    """Reads and writes spaces; every process hears of a change."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._process = uuid4()

    async def records(self) -> list[SpaceRecord]:
        """Every space, the active one first; then the newest."""
        return [_record(row) for row in await self._database.fetch("stored_spaces")]

    async def exists(self, stored: StoredSpace) -> bool:
        """Whether a space has not been dropped."""
        return any(record.stored.id == stored.id for record in await self.records())

    async def progress(self) -> dict[int, SpaceProgress]:
        """How far each space is filled, by its number."""
        rows = await self._database.fetch("space_progress")
        return {row["id"]: SpaceProgress(row["tools"], row["embedded"]) for row in rows}

    async def lacking(self) -> dict[str, float]:
        """How many tools have a vector `missing` in the active space, or one that is `refused`."""
        row = await self._database.fetchrow("lacking_vectors")
        return {} if row is None else {"missing": row["missing"], "refused": row["refused"]}

    async def register(
        self, space: EmbeddingSpace, probes: Vectors | None = None, *, may_serve: bool = True
    ) -> StoredSpace:
        """The stored space of that key; where it `may_serve`, the first one of all serves at once. One that was made
        when its build was not known yet takes this one.
        """
        values = (
            space.key,
            space.provider,
            space.model,
            space.dimensions,
            space.document_prefix,
            space.query_prefix,
            None if probes is None else probes.ravel().tolist(),
            space.build,
        )
        async with self._database.transaction() as transaction:
            await transaction.execute("lock_spaces")
            if space.build:
                await transaction.execute("adopt_space", *values)
            space_id: int = await transaction.fetchval("register_space", *values)
            if may_serve:
                await transaction.execute("activate_first_space", space_id)
            await transaction.execute("notify_space", space_id)
        await self._make_index(space_id, space.dimensions)
        return StoredSpace(space_id, space)

    async def activate(self, space_id: int) -> None:
        """Let a space serve in place of the one that does."""
        async with self._database.transaction() as transaction:
            await transaction.execute("deactivate_spaces", space_id)
            await transaction.execute("activate_space", space_id)
            await transaction.execute("notify_serving_space", space_id)

    async def share(self, space_id: int, percent: int) -> None:
        """Let a space answer so many percent of the searches."""
        await self._change(space_id, "share_space", percent)

    async def pause(self, space_id: int, reason: str) -> None:
        """Neither fill a space nor switch to it, for that reason; an empty one takes it back."""
        await self._change(space_id, "pause_space", reason)

    async def mark_gone(self, space_id: int) -> None:
        """Nothing can be embedded in a space any more."""
        await self._change(space_id, "mark_space_gone")

    async def mark_filled(self, space_id: int) -> None:
        """Every tool has its vectors in a space."""
        await self._change(space_id, "mark_space_filled")

    async def set_languages(self, space_id: int, languages: Sequence[str]) -> None:
        """Let a space answer queries in these languages."""
        await self._change(space_id, "set_space_languages", list(languages))

    async def clear_languages(self, kept: Collection[int]) -> None:
        """Spaces that are not in `kept` answer queries in no language any more."""
        await self._database.execute("clear_space_languages", list(kept))

    async def set_standby(self, space_id: int | None) -> None:
        """Let a space stand by for the others, and no other one do so."""
        await self._change_any("set_standby_space", space_id)

    async def reinstate(self, space_id: int) -> None:
        """Let a former space be one that is to serve."""
        await self._change_any("reinstate_space", space_id)

    async def lease(self, space_id: int) -> bool:
        """Whether this process may fill a space for the next minute, and no other."""
        return bool(await self._database.fetchval("lease_space", space_id, self._process, _LEASE_SECONDS))

    async def release(self, space_id: int) -> None:
        """Let another process fill a space."""
        await self._database.execute("release_space", space_id, self._process)

    async def drop(self, space_id: int) -> None:
        """Drop a space that is not active, with its vectors and its index."""
        await self._database.execute("drop_space_index", space=space_id)
        await self._database.execute("delete_space", space_id)

    async def drop_expired(self, grace_hours: float, kept: Collection[int]) -> None:
        """Drop the spaces that have not served for so long, but for those in `kept`."""
        for row in await self._database.fetch("expired_spaces", grace_hours, list(kept)):
            await self.drop(row["id"])

    async def _change(self, space_id: int, statement: str, *values: object) -> None:
        async with self._database.transaction() as transaction:
            await transaction.execute(statement, space_id, *values)
            await transaction.execute("notify_space", space_id)

    async def _change_any(self, statement: str, value: object) -> None:
        """What mostly changes nothing is told where it does."""
        async with self._database.transaction() as transaction:
            for row in await transaction.fetch(statement, value):
                await transaction.execute("notify_space", row["id"])

    async def _make_index(self, space_id: int, dimensions: int) -> None:
        if dimensions > MAX_INDEXED_DIMENSIONS:
            logger.warning(
                "Vectors of %d dimensions get no index in PostgreSQL, which takes %d at most: they are all compared.",
                dimensions,
                MAX_INDEXED_DIMENSIONS,
            )
            return
        try:
            if await self._database.fetchrow("broken_space_index", space_id) is not None:
                await self._database.execute("drop_space_index", space=space_id)
            await self._database.execute("create_space_index", space=space_id, dimensions=dimensions)
        except DatabaseError as error:
            # Another process makes it at the same moment; without it searches are right, and slower above 50,000 tools.
            logger.info("The index of space %d is not made now: %s", space_id, error)


def same_but_build(one: EmbeddingSpace, other: EmbeddingSpace) -> bool:
    """Whether two spaces differ in the model's weights at most."""
    return (one.provider, one.model, one.document_prefix, one.query_prefix) == (
        other.provider,
        other.model,
        other.document_prefix,
        other.query_prefix,
    )


def _record(row: Row) -> SpaceRecord:
    space = EmbeddingSpace(
        row["provider"],
        row["model"],
        row["dimensions"],
        row["document_prefix"],
        row["query_prefix"],
        row["build"],
    )
    return SpaceRecord(
        StoredSpace(row["id"], space),
        row["active"],
        row["is_gone"],
        row["share"],
        row["paused"],
        row["filled_at"],
        row["retired_at"],
        row["created_at"],
        _probes(row["probe_embeddings"], row["dimensions"]),
        tuple(row["languages"]),
        row["is_standby"],
    )


def _probes(stored: Sequence[float] | None, dimensions: int) -> Vectors | None:
    return np.array(stored, np.float32).reshape(-1, dimensions) if stored else None
