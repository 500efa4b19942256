"""Texts of results that were cut for their size, kept for the caller to read on in."""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass

from cachetools import TTLCache

from gateway.access.caller import Caller
from gateway.access.connections.named_person import identity_at
from gateway.cluster.links.hop import Hop
from gateway.database.pool import Database
from gateway.errors import DatabaseError
from gateway.json_codec import Message
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_KEPT_SECONDS = 3_600.0
_BYTES_PER_TENANT = 64 * 1024 * 1024
_MAX_HOLDERS = 10_000
_DROP_EVERY_SECONDS = 300.0
_HOLDER = "result_holder"


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part of a kept text, of which tool that is, and how many characters the whole has. `owner` is whose it is, as
    `identity_at` has it.
    """

    tool_id: int
    owner: str
    text: str
    characters: int


class ResultStore:
    """Keeps texts for an hour, at most 64 MiB for a tenant, the newest."""

    def __init__(self, database: Database, hop: Hop | None = None) -> None:
        """Through `hop` other processes hear for whom there are texts."""
        self._database = database
        self._hop = hop
        self._holders: TTLCache[tuple[int, str], bool] = TTLCache(_MAX_HOLDERS, _KEPT_SECONDS)
        if hop is not None:
            hop.subscribe_events(self._hear)

    async def store(self, caller: Caller, spec: ServerSpec, tool_id: int, result_id: uuid.UUID, text: str) -> None:
        """Keep the text of a result of a server for its caller. Raises DatabaseError."""
        content = text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace")
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "keep_result",
                caller.tenant_id,
                result_id,
                tool_id,
                identity_at(caller, spec),
                content.decode(),
                len(content),
                _KEPT_SECONDS,
            )
            await transaction.execute("drop_oldest_results", caller.tenant_id, _BYTES_PER_TENANT)
        if self._hop is not None and not self.has_any(caller):
            # Version 0.2.0 takes all that it hears for something about a server; of this number there is none.
            self._hop.broadcast({_HOLDER: caller.identity, "tenant": caller.tenant_id, "server": 0})
        self._holders[caller.tenant_id, caller.identity] = True

    async def read(self, tenant_id: int, result_id: uuid.UUID, offset: int, characters: int) -> StoredPart | None:
        """At most so many characters of a text from `offset` on, whosever it is; None where there is no such text."""
        row = await self._database.fetchrow("kept_result_part", tenant_id, result_id, offset, characters)
        return None if row is None else StoredPart(row["tool_id"], row["caller"], row["part"], row["characters"])

    def has_any(self, caller: Caller) -> bool:
        """Whether a text has lately been kept for the caller, as far as this process has heard."""
        return (caller.tenant_id, caller.identity) in self._holders

    async def run(self) -> None:
        """Drop what has had its time, from time to time."""
        while True:
            try:
                await self._database.execute("drop_expired_results")
            except DatabaseError as error:
                logger.info("Texts of results that have had their time could not be dropped: %s", error)
            await asyncio.sleep(_DROP_EVERY_SECONDS)

    def _hear(self, _: str, event: Message) -> None:
        identity = event.get(_HOLDER)
        if identity is not None:
            self._holders[int(event["tenant"]), str(identity)] = True
