"""Reranking as a search uses it: within a budget, never at the price of an answer, and once for the same question."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from cachetools import LRUCache

from gateway.circuit_breaker import CircuitBreaker
from gateway.errors import RerankError
from gateway.search.index.tool_card import ToolCard
from gateway.search.rerank.document import document_of, one_line
from gateway.search.rerank.reranker import Reranker, complete_order
from gateway.telemetry.tracing import span

logger = logging.getLogger(__name__)

CANDIDATES = 20
"""So many of the best tools of a query are ranked anew."""

_MAX_FAILURES = 5
_PAUSE_SECONDS = 30.0
_MAX_UNDER_WAY = 32
_MAX_KEPT = 5_000
# A call that missed its search goes on, as long as a model may take to be loaded: the next one finds its order.
_LONGEST_CALL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RerankReport:
    """What became of reranking one query: `order` has places among its candidates, best first, those of before where
    it failed, and `failure` says why. `repeated`: the order was known from an earlier search.
    """

    order: tuple[int, ...]
    milliseconds: float
    failure: str = ""
    repeated: bool = False


class Reranking:
    """Asks `reranker`, at most `budget_seconds` for each search."""

    def __init__(self, reranker: Reranker, budget_seconds: float, breaker: CircuitBreaker | None = None) -> None:
        self.label = reranker.label
        self._reranker = reranker
        self._budget_seconds = budget_seconds
        self._breaker = breaker or CircuitBreaker(_MAX_FAILURES, _PAUSE_SECONDS)
        self._orders: LRUCache[bytes, tuple[int, ...]] = LRUCache(_MAX_KEPT)
        self._under_way: dict[bytes, asyncio.Task[tuple[int, ...]]] = {}
        self._failure = ""

    @property
    def failure(self) -> str:
        """Why the last call failed, half a sentence; empty where it did not."""
        return self._failure

    async def rank(self, query: str, cards: Sequence[ToolCard]) -> RerankReport:
        """The order of the tools of `cards`, given in the one that they have; never raises for a reranker's fault."""
        started = time.perf_counter()
        key = _key(query, cards)
        repeated = key in self._orders
        failure = ""
        try:
            with span("rerank", "client", {"modelgate.candidates": len(cards)}):
                order = self._orders[key] if repeated else await self._rank_anew(key, query, cards)
        except RerankError as error:
            order, failure = tuple(range(len(cards))), error.message
        if not repeated:
            self._note(failure)
        return RerankReport(order, (time.perf_counter() - started) * 1000, failure, repeated)

    async def aclose(self) -> None:
        """End what is under way, and close the reranker."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._reranker.aclose()

    async def _rank_anew(self, key: bytes, query: str, cards: Sequence[ToolCard]) -> tuple[int, ...]:
        breaker = self._breaker
        if breaker.is_closed:
            return await self._within_budget(key, query, cards)
        if not breaker.begin_probe():
            raise RerankError(
                f"{self.label} failed {breaker.failures} times in a row and is left alone for "
                f"{max(1, math.ceil(breaker.seconds_left))} s more"
            )
        try:
            return await self._within_budget(key, query, cards)
        finally:
            breaker.end_probe()

    async def _within_budget(self, key: bytes, query: str, cards: Sequence[ToolCard]) -> tuple[int, ...]:
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= _MAX_UNDER_WAY:
                raise RerankError(f"{self.label} has {_MAX_UNDER_WAY} calls under way already")
            task = self._under_way[key] = asyncio.create_task(self._call(key, query, cards))
            task.add_done_callback(lambda task: self._forget(key, task))
        done, _ = await asyncio.wait({task}, timeout=self._budget_seconds)
        try:
            if not done:
                raise RerankError(f"{self.label} did not answer within {self._budget_seconds * 1000:.0f} ms")
            order = task.result()
        except RerankError:
            self._breaker.record_failure()
            raise
        self._breaker.record_success()
        return order

    async def _call(self, key: bytes, query: str, cards: Sequence[ToolCard]) -> tuple[int, ...]:
        documents = [document_of(card) for card in cards]
        try:
            ranked = await asyncio.wait_for(
                self._reranker.rank(one_line(query), documents), max(_LONGEST_CALL_SECONDS, self._budget_seconds)
            )
        except asyncio.TimeoutError:
            raise RerankError(f"{self.label} did not answer at all") from None
        order = self._orders[key] = complete_order(ranked, len(cards))
        return order

    def _forget(self, key: bytes, task: asyncio.Task[tuple[int, ...]]) -> None:
        del self._under_way[key]
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, RerankError):
            logger.error("a call of the reranker failed", exc_info=error)

    def _note(self, failure: str) -> None:
        """Remember whether it fails; that it does, and that it is back, is said once each."""
        if failure and not self._failure:
            logger.warning("Reranking fails, and searches keep the order of the index: %s", failure)
        elif not failure and self._failure:
            logger.info("Reranking works again.")
        self._failure = failure


def _key(query: str, cards: Sequence[ToolCard]) -> bytes:
    """Of the query and the candidates in their order, each with all that is sent of it."""
    digest = hashlib.sha256(repr(query).encode())
    for card in cards:
        digest.update(repr((card.server, card.name, card.title, card.description, card.input_schema_json)).encode())
    return digest.digest()
