"""The texts that wait for a server: taken in batches, each text once however many wait for it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import anyio
from cachetools import LRUCache

from gateway.embedding.servers.adaptive_batcher import AdaptiveBatcher
from gateway.embedding.servers.batch_bisector import EmbeddedText, TextOutcome
from gateway.errors import EmbeddingError
from gateway.task_set import TaskSet

# Texts that were embedded a moment ago, by this or another sync, are not embedded again.
_KEPT_BYTES = 32 * 2**20
# A text's own memory beside its vector, about.
_OVERHEAD_BYTES = 200
# Documents wait for queries, but not for ever where these never end.
_LONGEST_WAIT_SECONDS = 1.0

EmbedTexts = Callable[[Sequence[str]], Awaitable[list[TextOutcome]]]
"""Embeds a batch. Raises EmbeddingError where the embedder is at fault, and none of them has an outcome."""

DocumentOutcome: TypeAlias = TextOutcome | EmbeddingError


@dataclass(slots=True)
class _QueuedDocument:
    tokens: int
    answer: asyncio.Future[DocumentOutcome]
    waiters: int = 0
    is_taken: bool = False


@dataclass(slots=True)
class _Queries:
    """Queries under way; documents are not begun meanwhile."""

    count: int = 0
    none: asyncio.Event = field(default_factory=asyncio.Event)


class DocumentQueue:
    """The texts of all syncs of one embedder, in the order in which they came, as many at a time as `batcher` says."""

    def __init__(self, embed: EmbedTexts, batcher: AdaptiveBatcher) -> None:
        self._embed = embed
        self._batcher = batcher
        self._waiting: dict[str, _QueuedDocument] = {}
        self._recent: LRUCache[bytes, EmbeddedText] = LRUCache(_KEPT_BYTES, getsizeof=_size)
        self._workers = TaskSet()
        self._working = 0
        self._queries = _Queries()

    @property
    def waiting_texts(self) -> int:
        """How many texts have no answer yet."""
        return len(self._waiting)

    async def embed(self, texts: Sequence[tuple[str, int]], until: float) -> list[DocumentOutcome | None]:
        """The answer for each of `texts`, given with their tokens; None for those not begun by `until`.

        A failure of the embedder is the answer for all that were not embedded before it.
        """
        waiting = [self._enqueue(text, tokens) for text, tokens in texts]
        self._start_workers()
        futures = [each.answer for each in waiting if not each.answer.done()]
        try:
            if futures:
                seconds = None if until == float("inf") else max(0.0, until - time.monotonic())
                await asyncio.wait(futures, timeout=seconds)
        finally:
            for (text, _), each in zip(texts, waiting, strict=True):
                self._leave(text, each)
        return [each.answer.result() if each.answer.done() else None for each in waiting]

    def query_began(self) -> None:
        """Documents wait until `query_ended`."""
        self._queries.count += 1
        self._queries.none.clear()

    def query_ended(self) -> None:
        """One of those that began is over."""
        self._queries.count -= 1
        if not self._queries.count:
            self._queries.none.set()

    def forget(self) -> None:
        """Embed texts again that were embedded before."""
        self._recent.clear()

    async def aclose(self) -> None:
        """End what is under way; nobody may wait any more."""
        await self._workers.aclose()

    def _enqueue(self, text: str, tokens: int) -> _QueuedDocument:
        waiting = self._waiting.get(text)
        if waiting is None:
            waiting = _QueuedDocument(tokens, asyncio.get_running_loop().create_future())
            if (recent := self._recent.get(_key(text))) is not None:
                waiting.answer.set_result(replace(recent, is_kept=True))
            else:
                self._waiting[text] = waiting
        waiting.waiters += 1
        return waiting

    def _leave(self, text: str, waiting: _QueuedDocument) -> None:
        waiting.waiters -= 1
        if not waiting.waiters and not waiting.is_taken and self._waiting.get(text) is waiting:
            del self._waiting[text]

    def _start_workers(self) -> None:
        idle = sum(not each.is_taken for each in self._waiting.values())
        for _ in range(min(self._batcher.width - self._working, idle)):
            self._working += 1
            self._workers.spawn(self._work())

    async def _work(self) -> None:
        try:
            # There may be fewer at once by now than when this one began.
            while self._working <= self._batcher.width:
                await self._let_queries_pass()
                batch = self._take()
                if not batch:
                    return
                await self._answer(batch)
                self._start_workers()
        finally:
            self._working -= 1

    async def _let_queries_pass(self) -> None:
        if self._queries.count:
            with anyio.move_on_after(_LONGEST_WAIT_SECONDS):
                await self._queries.none.wait()

    def _take(self) -> list[str]:
        batch: list[str] = []
        work = 0
        for text, waiting in self._waiting.items():
            if waiting.is_taken:
                continue
            cost = self._batcher.work_of(waiting.tokens)
            if batch and (len(batch) >= self._batcher.max_texts or work + cost > self._batcher.max_work):
                break
            batch.append(text)
            work += cost
            waiting.is_taken = True
        return batch

    async def _answer(self, batch: Sequence[str]) -> None:
        answers: Sequence[DocumentOutcome | None] = [None] * len(batch)
        try:
            answers = await self._embed(batch)
        except EmbeddingError as error:
            # Whoever comes next asks anew; those that wait now hear of it at once.
            batch = list(self._waiting)
            answers = [error] * len(batch)
        finally:
            for text, answer in zip(batch, answers, strict=True):
                # Another batch that failed has answered for all that waited.
                waiting = self._waiting.pop(text, None)
                if waiting is not None and answer is None:
                    waiting.answer.cancel()
                elif waiting is not None and answer is not None:
                    waiting.answer.set_result(answer)
                if isinstance(answer, EmbeddedText):
                    self._recent[_key(text)] = answer


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _size(kept: EmbeddedText) -> int:
    return kept.vector.nbytes + _OVERHEAD_BYTES
