"""Works out what examples make of the vectors that tools are ranked by."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import EmbeddingError, ModelGateError, TextRefusedError
from gateway.search.learning.background import BackgroundVectors
from gateway.search.learning.example_vectors import ExampleVectors
from gateway.search.learning.example_weight import ExampleRules
from gateway.search.learning.learnt_vector import LearntVector, WeightedExample, learn_vector

logger = logging.getLogger(__name__)

_BATCH = 200
_EVERY_SECONDS = 5.0
# Half precision keeps three digits; what changes less is not worth that every process reads it.
_SAME_COSINE = 0.9995
_SAME_CORRECTION = 0.002


@dataclass(frozen=True, slots=True)
class _Basis:
    """What is known of a tool in a space, read at one moment."""

    row: Row
    examples: Sequence[Row]


class Learner:
    """Keeps what is learnt of tools as their examples have it, in every space that embeds."""

    def __init__(self, database: Database, spaces: Spaces, rules: ExampleRules) -> None:
        self._database = database
        self._spaces = spaces
        self._rules = rules
        self._background = BackgroundVectors(spaces)
        self._vectors = ExampleVectors(database, spaces)

    async def run(self) -> None:
        """Look again and again, until cancelled; an embedder or database that is down is tried again later."""
        told = ""
        while True:
            try:
                await self.refresh_all()
                told = ""
            except ModelGateError as error:
                # It is the same trouble every few seconds until somebody mends it.
                if error.message != told:
                    logger.info("What examples say is not worked out for the moment: %s", error)
                told = error.message
            await asyncio.sleep(_EVERY_SECONDS)

    async def refresh(self, tenant_id: int, tool_id: int) -> str:
        """Let the examples of a tool have their effect, from the next search on; returns why they have none yet in the
        space that serves, empty where they have.
        """
        serving = await self._spaces.known_active_space()
        trouble = ""
        for space in await self._embedding_spaces():
            try:
                is_due = await self._stale(space, 1, tenant_id, tool_id)
                failure: EmbeddingError | None = await self._learn(space, tenant_id, tool_id) if is_due else None
            except EmbeddingError as error:
                failure = error
            if failure is not None and (serving is None or space.id == serving.id):
                trouble = failure.message
        return trouble

    async def refresh_tenant(self, tenant_id: int) -> None:
        """The same for the tools of one tenant, as far as there is no trouble: what is left is done later."""
        for space in await self._embedding_spaces():
            with contextlib.suppress(EmbeddingError):
                for row in await self._stale(space, _BATCH, tenant_id):
                    await self._learn(space, tenant_id, row["tool_id"])

    async def refresh_all(self) -> int:
        """The same for every tool of which it is due; returns of how many, over all spaces.

        Raises EmbeddingError where an embedder fails, after those of the others are done.
        """
        done = 0
        failure: EmbeddingError | None = None
        for space in await self._embedding_spaces():
            try:
                while rows := await self._stale(space, _BATCH):
                    for row in rows:
                        await self._learn(space, row["tenant_id"], row["tool_id"])
                    done += len(rows)
                    if len(rows) < _BATCH:
                        break
            except EmbeddingError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return done

    async def _embedding_spaces(self) -> list[StoredSpace]:
        """The spaces in which queries can be embedded, the one that serves first."""
        return [record.stored for record in await self._spaces.store.records() if not record.is_gone]

    async def _stale(
        self, space: StoredSpace, most: int, tenant_id: int | None = None, tool_id: int | None = None
    ) -> list[Row]:
        return await self._database.fetch("stale_learning", space.id, self._rules.fingerprint, most, tenant_id, tool_id)

    async def _learn(self, space: StoredSpace, tenant_id: int, tool_id: int) -> TextRefusedError | None:
        """What the model refuses of the examples has no effect, and why is returned: the others, and those of other
        tools, do not wait for it. Raises EmbeddingError where the model does not answer.
        """
        basis = await self._read(space, tenant_id, tool_id)
        if basis is None:
            return None
        weights = {row["id"]: self._rules.weight(row, is_trusted=basis.row["trusted"]) for row in basis.examples}
        vectors, refusals = await self._vectors.get(space, tenant_id, basis.examples)
        examples = [
            WeightedExample(vectors[row["id"]], weights[row["id"]], row["share"])
            for row in basis.examples
            if row["id"] in vectors and weights[row["id"]] > 0
        ]
        base = basis.row["ranking_embedding"].to_numpy().astype(np.float32)
        learnt = learn_vector(base, examples, await self._background.vectors(space)) if examples else None
        await self._write(space, tenant_id, tool_id, basis.row, learnt, len(examples))
        return next((refusal for example_id, refusal in refusals.items() if weights[example_id] > 0), None)

    async def _read(self, space: StoredSpace, tenant_id: int, tool_id: int) -> _Basis | None:
        async with self._database.snapshot() as snapshot:
            row = await snapshot.fetchrow("learning_basis", tenant_id, tool_id, space.id)
            if row is None or row["ranking_embedding"] is None:
                return None
            return _Basis(
                row,
                await snapshot.fetch(
                    "learning_examples", tenant_id, tool_id, space.id, self._rules.min_calls, self._rules.min_callers
                ),
            )

    async def _write(
        self,
        space: StoredSpace,
        tenant_id: int,
        tool_id: int,
        row: Row,
        learnt: LearntVector | None,
        examples: int,
    ) -> None:
        async with self._database.tenant_transaction(tenant_id) as transaction:
            # What was forgotten meanwhile must not come back.
            if await transaction.fetchval("lock_learning", tenant_id, tool_id) != row["version"]:
                return
            changed = not _is_same(row, learnt)
            vector = None if learnt is None else learnt.vector
            correction = 0.0 if learnt is None else learnt.correction
            if not changed and learnt is not None:
                vector, correction = row["learnt_embedding"], row["correction"]
            await transaction.execute(
                "store_learnt",
                tenant_id,
                tool_id,
                space.id,
                row["text_hash"],
                vector,
                correction,
                examples,
                row["version"],
                self._rules.fingerprint,
            )
            if changed:
                await transaction.execute("bump_catalogue_version", tenant_id)


def _is_same(row: Row, learnt: LearntVector | None) -> bool:
    """Whether what is learnt is, to what half precision keeps, what was learnt before."""
    before = row["learnt_embedding"]
    if before is None or learnt is None or row["learnt_text_hash"] != row["text_hash"]:
        return before is None and learnt is None
    known = before.to_numpy().astype(np.float32)
    lengths = float(np.linalg.norm(known)) * float(np.linalg.norm(learnt.vector))
    same_vector = float(known @ learnt.vector) >= _SAME_COSINE * lengths
    return same_vector and abs(learnt.correction - row["correction"]) < _SAME_CORRECTION
