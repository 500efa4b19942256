"""Texts of results that were cut for their size, kept for the caller to read on in."""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass

from cachetools import TTLCache

from gateway.access.caller import Caller
from gateway.database.pool import Database
from gateway.errors import DatabaseError

logger = logging.getLogger(__name__)

_KEPT_SECONDS = 3_600.0
_BYTES_PER_TENANT = 64 * 1024 * 1024
_MAX_HOLDERS = 10_000
_DROP_EVERY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class KeptPart:
    """A part of a kept text, of which tool that is, and how many characters the whole has."""

    tool_id: int
    text: str
    characters: int


class KeptResults:
    """Keeps texts for an hour, at most 64 MiB for a tenant, the newest."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._holders: TTLCache[tuple[int, str], bool] = TTLCache(_MAX_HOLDERS, _KEPT_SECONDS)

    async def keep(self, caller: Caller, tool_id: int, result_id: uuid.UUID, text: str) -> None:
        """Keep the text of a result for its caller. Raises DatabaseError."""
        content = text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace")
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "keep_result",
                caller.tenant_id,
                result_id,
                tool_id,
                caller.identity,
                content.decode(),
                len(content),
                _KEPT_SECONDS,
            )
            await transaction.execute("drop_oldest_results", caller.tenant_id, _BYTES_PER_TENANT)
        self._holders[caller.tenant_id, caller.identity] = True

    async def read(self, caller: Caller, result_id: uuid.UUID, offset: int, characters: int) -> KeptPart | None:
        """At most so many characters of a text from `offset` on; None where there is no such text for this caller."""
        row = await self._database.fetchrow(
            "kept_result_part", caller.tenant_id, result_id, caller.identity, offset, characters
        )
        return None if row is None else KeptPart(row["tool_id"], row["part"], row["characters"])

    def has_any(self, caller: Caller) -> bool:
        """Whether this process has lately kept a text for the caller."""
        return (caller.tenant_id, caller.identity) in self._holders

    async def run(self) -> None:
        """Drop what has had its time, from time to time."""
        while True:
            try:
                await self._database.execute("drop_expired_results")
            except DatabaseError as error:
                logger.info("Texts of results that have had their time could not be dropped: %s", error)
            await asyncio.sleep(_DROP_EVERY_SECONDS)
