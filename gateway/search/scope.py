"""What a search has to know of the catalogue beforehand, kept until the catalogue changes."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass

import numpy as np

from gateway.catalog.category import split_words
from gateway.database.pool import Database
from gateway.embedding.spaces import Spaces, StoredSpace
from gateway.errors import DatabaseError, EmbeddingError
from gateway.search.calibrate import Calibration, calibrate
from gateway.search.visible_tools import VisibleTools, visible_tools_of

logger = logging.getLogger(__name__)

_SAMPLE = 500
_ASKED_SAMPLE = 100
_PATIENCE_SECONDS = 1.0
_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Corpus:
    """A tenant's catalogue as BM25 sees it: the number of tools and their mean length in lexemes."""

    tools: int
    mean_length: float


class CatalogStatistics:
    """Numbers about catalogues and about what roles see of them, each valid for one version of a catalogue.

    A version is only kept while notices of changes come in; call `on_notice` for each.
    """

    def __init__(self, database: Database, spaces: Spaces) -> None:
        self._database = database
        self._spaces = spaces
        self._corpora: dict[int, Corpus] = {}
        self._audiences: dict[tuple[int, tuple[int, ...]], VisibleTools] = {}
        self._changes = 0
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

    async def audience(self, tenant_id: int, role_ids: tuple[int, ...]) -> VisibleTools:
        """The tools that these roles can find."""
        found = self._audiences.get((tenant_id, role_ids))
        if found is None:
            changes = self._changes
            row = await self._database.fetchrow("audience", tenant_id, list(role_ids))
            assert row is not None
            found = visible_tools_of(row["ids"], row["positions"])
            # What changed while it was read may not be in it.
            if changes == self._changes:
                if len(self._audiences) >= _KEPT:
                    self._audiences.clear()
                self._audiences[tenant_id, role_ids] = found
        return found

    async def visible(self, tenant_id: int, role_ids: tuple[int, ...]) -> int:
        """How many tools these roles can find."""
        return (await self.audience(tenant_id, role_ids)).count

    async def calibration(self, tenant_id: int, stored: StoredSpace) -> Calibration:
        """How cosines of a space are scored in this tenant.

        It is worked out beside the searches: one is at most held up for a moment, and goes on with the former
        calibration, or an assumed one.
        """
        key = (tenant_id, stored.id)
        found = self._calibrations.get(key)
        if (found is None or key in self._stale) and key not in self._calibrating:
            task = asyncio.create_task(self._calibrate(key, stored))
            self._calibrating[key] = task
            task.add_done_callback(lambda _: self._calibrating.pop(key, None))
        if found is None:
            await asyncio.wait([self._calibrating[key]], timeout=_PATIENCE_SECONDS)
        return self._calibrations.get(key, Calibration())

    def on_notice(self, payload: str) -> None:
        """Forget what the change named by a notice may have altered; an empty payload names everything."""
        tenant = json.loads(payload).get("tenant") if payload else None
        self._corpora = {key: corpus for key, corpus in self._corpora.items() if tenant not in (None, key)}
        self._changes += 1
        self._audiences = {key: held for key, held in self._audiences.items() if tenant not in (None, key[0])}
        self._stale.update(key for key in self._calibrations if tenant is None or tenant == key[0])

    async def aclose(self) -> None:
        """Wait for calibrations under way."""
        await asyncio.gather(*self._calibrating.values(), return_exceptions=True)

    async def _calibrate(self, key: tuple[int, int], stored: StoredSpace) -> None:
        self._stale.discard(key)
        # A model that embeds questions otherwise than documents is asked for its questions, which takes time.
        asks = stored.space.query_prefix != stored.space.document_prefix
        try:
            rows = await self._database.fetch("sampled_embeddings", *key, _ASKED_SAMPLE if asks else _SAMPLE)
            arrays = [
                np.array([row[column].to_numpy() for row in rows], dtype=np.float32).reshape(
                    len(rows), stored.space.dimensions
                )
                for column in ("name_embedding", "description_embedding", "combined_embedding")
            ]
            if asks and rows:
                names = [" ".join(split_words(row["name"])) or row["name"] for row in rows]
                arrays.append(np.array([(await self._spaces.embed_query(name)).vector for name in names]))
            self._calibrations[key] = await asyncio.to_thread(calibrate, *arrays)
        except (DatabaseError, EmbeddingError, ValueError) as error:
            self._stale.add(key)
            logger.info("The calibration stays as it was for the moment: %s", error)
