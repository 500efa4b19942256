"""What a search has to know of the catalogue beforehand, kept until the catalogue changes."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass

import numpy as np

from gateway.database.pool import Database
from gateway.embedding.embedder import Vectors
from gateway.errors import DatabaseError
from gateway.search.calibrate import Calibration, calibrate

logger = logging.getLogger(__name__)

_SAMPLE = 500
_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Corpus:
    """A tenant's catalogue as BM25 sees it: the number of tools and their mean length in lexemes."""

    tools: int
    mean_length: float


class Scopes:
    """Numbers about catalogues and about what roles see of them, each valid for one version of a catalogue.

    A version is only kept while notices of changes come in; call `on_notice` for each.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._corpora: dict[int, Corpus] = {}
        self._visible: dict[tuple[int, tuple[int, ...]], int] = {}
        self._calibrations: dict[tuple[int, int], Calibration] = {}
        self._stale: set[tuple[int, int]] = set()
        self._calibrating: dict[tuple[int, int], asyncio.Task[None]] = {}

    async def corpus(self, tenant_id: int) -> Corpus:
        """The tenant's corpus statistics."""
        found = self._corpora.get(tenant_id)
        if found is None:
            row = await self._database.fetchrow("corpus", tenant_id)
            assert row is not None
            found = self._corpora[tenant_id] = Corpus(row["tools"], row["mean_length"])
        return found

    async def visible(self, tenant_id: int, role_ids: tuple[int, ...]) -> int:
        """How many tools these roles can find."""
        found = self._visible.get((tenant_id, role_ids))
        if found is None:
            found = int(await self._database.fetchval("scope_of_roles", tenant_id, list(role_ids)))
            if len(self._visible) >= _KEPT:
                self._visible.clear()
            self._visible[tenant_id, role_ids] = found
        return found

    async def calibration(self, tenant_id: int, space_id: int) -> Calibration:
        """How cosines of a space are scored in this tenant.

        After a change of the catalogue the former one serves on while the new one is worked out beside.
        """
        key = (tenant_id, space_id)
        found = self._calibrations.get(key)
        if found is None:
            await self._calibrate(key)
            return self._calibrations[key]
        if key in self._stale and key not in self._calibrating:
            task = asyncio.create_task(self._calibrate_quietly(key))
            self._calibrating[key] = task
            task.add_done_callback(lambda _: self._calibrating.pop(key, None))
        return found

    def on_notice(self, payload: str) -> None:
        """Forget what the change named by a notice may have altered; an empty payload names everything."""
        tenant = json.loads(payload).get("tenant") if payload else None
        self._corpora = {key: corpus for key, corpus in self._corpora.items() if tenant not in (None, key)}
        self._visible = {key: count for key, count in self._visible.items() if tenant not in (None, key[0])}
        self._stale.update(key for key in self._calibrations if tenant is None or tenant == key[0])

    async def aclose(self) -> None:
        """Wait for calibrations under way."""
        await asyncio.gather(*self._calibrating.values(), return_exceptions=True)

    async def _calibrate(self, key: tuple[int, int]) -> None:
        self._stale.discard(key)
        rows = await self._database.fetch("sampled_embeddings", *key, _SAMPLE)
        columns = ("name_embedding", "description_embedding", "combined_embedding")
        arrays: list[Vectors] = [
            np.array([row[column].to_numpy() for row in rows], dtype=np.float32).reshape(len(rows), -1)
            for column in columns
        ]
        self._calibrations[key] = await asyncio.to_thread(calibrate, *arrays)

    async def _calibrate_quietly(self, key: tuple[int, int]) -> None:
        try:
            await self._calibrate(key)
        except DatabaseError as error:
            self._stale.add(key)
            logger.info("The calibration stays as it was for the moment: %s", error)
