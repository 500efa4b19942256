"""Texts of several syncs that wait for one server."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence

import numpy as np
import pytest

from gateway.embedding.servers.adaptive_batcher import AdaptiveBatcher
from gateway.embedding.servers.batch_bisector import EmbeddedText, TextOutcome
from gateway.embedding.servers.document_queue import DocumentQueue
from gateway.errors import EmbedderUnavailableError


class Embedding:
    """Embeds batches of two as `go` allows; `batches` are those that came."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.go.set()
        self.came = asyncio.Event()
        self.batches: list[tuple[str, ...]] = []
        self.failing = False

    async def embed(self, texts: Sequence[str]) -> list[TextOutcome]:
        self.batches.append(tuple(texts))
        self.came.set()
        await self.go.wait()
        if self.failing:
            raise EmbedderUnavailableError("It is down", "start it")
        return [EmbeddedText(np.array([len(text), 1], np.float32)) for text in texts]


@pytest.fixture
def embedding() -> Embedding:
    return Embedding()


@pytest.fixture
def queue(embedding: Embedding) -> DocumentQueue:
    return DocumentQueue(embedding.embed, AdaptiveBatcher(2, 1))


def sized(*texts: str) -> list[tuple[str, int]]:
    return [(text, len(text)) for text in texts]


async def test_texts_are_embedded_in_batches_in_their_order(queue: DocumentQueue, embedding: Embedding) -> None:
    answers = await queue.embed(sized("a", "bb", "ccc"), math.inf)
    assert [answer.vector[0] for answer in answers if isinstance(answer, EmbeddedText)] == [1, 2, 3]
    assert embedding.batches == [("a", "bb"), ("ccc",)]


async def test_equal_texts_of_several_syncs_at_once_and_of_a_later_one_are_embedded_once(
    queue: DocumentQueue, embedding: Embedding
) -> None:
    both = await asyncio.gather(queue.embed(sized("a", "b"), math.inf), queue.embed(sized("b", "a", "b"), math.inf))
    assert [len(answers) for answers in both] == [2, 3]
    await queue.embed(sized("b"), math.inf)
    assert embedding.batches == [("a", "b")]


async def test_what_is_not_begun_in_time_is_left_and_what_is_under_way_is_not_lost(
    queue: DocumentQueue, embedding: Embedding
) -> None:
    embedding.go.clear()
    answers = await queue.embed(sized("a", "b", "c"), time.monotonic() + 0.05)
    assert answers == [None, None, None]
    embedding.go.set()
    again = await queue.embed(sized("a", "b"), math.inf)
    assert all(isinstance(answer, EmbeddedText) for answer in again)
    assert embedding.batches == [("a", "b")]


async def test_a_failure_is_told_to_all_that_wait_and_those_who_come_later_ask_anew(
    queue: DocumentQueue, embedding: Embedding
) -> None:
    embedding.failing = True
    answers = await queue.embed(sized("a", "b", "c"), math.inf)
    assert all(isinstance(answer, EmbedderUnavailableError) for answer in answers)
    assert len(embedding.batches) == 1
    embedding.failing = False
    assert all(isinstance(answer, EmbeddedText) for answer in await queue.embed(sized("a"), math.inf))


async def test_documents_wait_for_a_query_that_is_under_way(queue: DocumentQueue, embedding: Embedding) -> None:
    queue.query_began()
    waiting = asyncio.create_task(queue.embed(sized("a"), math.inf))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert embedding.batches == []
    queue.query_ended()
    await waiting
    assert embedding.batches == [("a",)]


async def test_who_gives_up_takes_back_what_was_not_begun(queue: DocumentQueue, embedding: Embedding) -> None:
    embedding.go.clear()
    one = asyncio.create_task(queue.embed(sized("a", "b", "c", "d"), math.inf))
    await embedding.came.wait()
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    embedding.go.set()
    await queue.embed(sized("e"), math.inf)
    assert embedding.batches == [("a", "b"), ("e",)]


async def test_one_that_is_narrowed_while_many_are_under_way_still_gets_done() -> None:
    embedding = Embedding()
    batcher = AdaptiveBatcher(1, 8)
    batcher.width = 8
    queue = DocumentQueue(embedding.embed, batcher)
    embedding.go.clear()
    waiting = asyncio.create_task(queue.embed(sized(*(f"text {number}" for number in range(40))), math.inf))
    await embedding.came.wait()
    batcher.width = 1
    embedding.go.set()
    assert len(await asyncio.wait_for(waiting, 10)) == 40
