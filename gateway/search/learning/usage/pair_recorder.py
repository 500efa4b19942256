"""Takes pairs of searches and calls at once and counts them soon, beside the calls."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from types import TracebackType

import anyio
from cachetools import TTLCache
from typing_extensions import Self

from gateway.catalog.examples.example_text import example_text, text_key
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import DatabaseUnavailableError, EmbeddingError, ModelGateError, TextRefusedError
from gateway.finishing_task import FinishingTask
from gateway.search.learning.example_vectors import ExampleVectors
from gateway.search.learning.learner import Learner
from gateway.search.learning.usage.pair_store import EmbeddedPair, PairStore, QueryToolPair

logger = logging.getLogger(__name__)

_MAX_WAITING = 10_000
_BATCH = 500
_GATHER_SECONDS = 1.0
_RETRY_SECONDS = 5.0
_SHUTDOWN_SECONDS = 5.0
_MAX_COUNTED = 100_000
# What is forgotten and said again after that is counted, in every process.
_COUNTED_SECONDS = 600.0


class PairRecorder:
    """Entered and left in one task; leaving counts what is left."""

    def __init__(self, store: PairStore, vectors: ExampleVectors, learner: Learner, spaces: Spaces) -> None:
        self._store = store
        self._vectors = vectors
        self._learner = learner
        self._spaces = spaces
        self._waiting: deque[QueryToolPair] = deque()
        # What has been counted today, of the last minutes; the database would refuse it as well.
        self._counted: TTLCache[tuple[int, int, str, str, int], None] = TTLCache(_MAX_COUNTED, _COUNTED_SECONDS)
        self._wake = asyncio.Event()
        self._counting = FinishingTask(_SHUTDOWN_SECONDS)
        self.dropped = 0
        """Pairs that came faster than they could be counted, or cannot be."""

    async def __aenter__(self) -> Self:
        self._counting.start(self._count_all())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._wake.set()
        await self._counting.finish()

    @property
    def waiting(self) -> int:
        """Pairs that are not counted yet."""
        return len(self._waiting)

    def record(self, pair: QueryToolPair) -> None:
        """Take a pair to be counted; never waits."""
        text = example_text(pair.text)
        if not text:
            return
        today = (pair.tenant_id, pair.tool_id, pair.account, text_key(text), pair.at.toordinal())
        if today in self._counted:
            return
        if len(self._waiting) >= _MAX_WAITING:
            self.dropped += 1
            return
        self._counted[today] = None
        self._waiting.append(replace(pair, text=text))
        self._wake.set()

    async def _count_all(self) -> None:
        while True:
            await self._wake.wait()
            with anyio.move_on_after(_GATHER_SECONDS):
                await self._counting.stopping.wait()
            self._wake.clear()
            try:
                await self._count_waiting()
            except ModelGateError as error:
                if self._counting.stopping.is_set():
                    logger.warning("%d searches that led to calls are not learnt: %s", len(self._waiting), error)
                    return
                logger.info("What calls say of searches is not counted for the moment: %s", error)
                with anyio.move_on_after(_RETRY_SECONDS):
                    await self._counting.stopping.wait()
                self._wake.set()
            if self._counting.stopping.is_set() and not self._waiting:
                return

    async def _count_waiting(self) -> None:
        """Raises EmbeddingError and DatabaseUnavailableError; what is not counted then still waits."""
        changed: set[int] = set()
        while self._waiting:
            space = await self._spaces.active_space()
            batch = list(islice(self._waiting, _BATCH))
            of_tenants: dict[int, list[QueryToolPair]] = {}
            for pair in batch:
                of_tenants.setdefault(pair.tenant_id, []).append(pair)
            for tenant_id, pairs in of_tenants.items():
                if await self._count(tenant_id, pairs, space):
                    changed.add(tenant_id)
            for _ in batch:
                self._waiting.popleft()
        for tenant_id in changed:
            await self._learner.refresh_tenant(tenant_id)

    async def _count(self, tenant_id: int, pairs: Sequence[QueryToolPair], space: StoredSpace) -> bool:
        """Whether any tool has learnt something. Pairs that are counted again count nothing, and what cannot be counted
        as it is keeps no others from it.
        """
        try:
            await self._vectors.fill(space, tenant_id, {pair.tool_id for pair in pairs})
            return bool(await self._store.count(tenant_id, await self._embedded(pairs, space), space))
        except (EmbeddingError, DatabaseUnavailableError):
            raise
        except Exception as error:
            if len(pairs) > 1:
                return any([await self._count(tenant_id, [pair], space) for pair in pairs])
            self.dropped += 1
            logger.warning("What a call says of a search could not be counted.", exc_info=error)
            return False

    async def _embedded(self, pairs: Sequence[QueryToolPair], space: StoredSpace) -> list[EmbeddedPair]:
        embedded = []
        for pair in pairs:
            # What the model refuses is nothing that a search can be compared with.
            with contextlib.suppress(TextRefusedError):
                (vector,) = await self._spaces.embed_queries_in(space, [pair.text])
                embedded.append(EmbeddedPair(pair, vector))
        return embedded
