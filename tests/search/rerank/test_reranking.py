"""Reranking within its budget: whatever the server does, a search has its tools in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.circuit_breaker import CircuitBreaker
from gateway.components import open_components
from gateway.errors import RerankError
from gateway.search.rerank.reranker_factory import open_reranking
from gateway.search.rerank.reranking import Reranking
from gateway.settings import RerankSettings, Settings
from tests.doubles.ranking_server import Fault, RankingServer
from tests.search.rerank.conftest import CARDS, Serve, card
from tests.support.gateway import add_local_mcp, running_gateway

FIRST = (0, 1, 2, 3)


class Scripted:
    """A reranker that gives what it is told to give, once it is let."""

    label = "The script"

    def __init__(self) -> None:
        self.result: Sequence[int] | None = [2]
        self.let = asyncio.Event()
        self.let.set()
        self.asked = asyncio.Event()
        self.queries: list[str] = []

    async def rank(self, query: str, documents: Sequence[str]) -> list[int]:
        self.queries.append(query)
        self.asked.set()
        await self.let.wait()
        if self.result is None:
            raise RerankError(f"{self.label} has no order")
        return list(self.result)

    async def aclose(self) -> None:
        self.result = None


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


Open = Callable[..., Reranking]


@pytest.fixture
async def open_at() -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        def start(server: RankingServer, budget_ms: int = 5_000) -> Reranking:
            reranking = open_reranking(RerankSettings("server", server.url, budget_ms=budget_ms))
            assert reranking is not None
            stack.push_async_callback(reranking.aclose)
            return reranking

        yield start


async def test_the_tools_are_put_in_the_order_of_the_server(serve: Serve, open_at: Open) -> None:
    report = await open_at(await serve("jina")).rank("weather of a city", CARDS)
    assert report.order[0] == 2
    assert (report.failure, report.repeated) == ("", False)
    assert report.milliseconds > 0


@pytest.mark.parametrize(
    "fault",
    [
        Fault(seconds=30),
        Fault(endless=True),
        Fault(size=3 * 2**20),
        Fault(cut=True),
        Fault(status=500),
        Fault(body="no"),
        Fault(body='{"results": [{"index": 44, "relevance_score": 1}]}'),
    ],
)
async def test_a_server_at_fault_leaves_the_order_as_it_was(serve: Serve, open_at: Open, fault: Fault) -> None:
    server = await serve("jina", fault=fault)
    budget = 100 if fault.seconds or fault.endless else 5_000
    report = await open_at(server, budget).rank("weather", CARDS)
    assert report.order == FIRST
    assert report.failure.startswith(f"The reranker at {server.url} ")


async def test_the_same_question_about_the_same_tools_is_asked_once(serve: Serve, open_at: Open) -> None:
    server = await serve("jina")
    reranking = open_at(server)
    first = await reranking.rank("weather", CARDS)
    again = await reranking.rank("weather", CARDS)
    assert (again.order, again.repeated, len(server.requests)) == (first.order, True, 1)
    changed = (*CARDS[:3], card(3, "something else"))
    for query, cards in (("Weather", CARDS), ("weather", CARDS[:3]), ("weather", CARDS[::-1]), ("weather", changed)):
        assert not (await reranking.rank(query, cards)).repeated
    assert len(server.requests) == 5


async def test_searches_for_the_same_at_the_same_time_share_a_call() -> None:
    script = Scripted()
    script.let.clear()
    reranking = Reranking(script, 10)
    searches = [asyncio.create_task(reranking.rank("weather", CARDS)) for _ in range(5)]
    await script.asked.wait()
    script.let.set()
    assert {(await search).order for search in searches} == {FIRST}
    assert script.queries == ["weather"]


async def test_an_answer_that_comes_too_late_is_there_for_the_next_search() -> None:
    script = Scripted()
    script.let.clear()
    script.result = [3, 0]
    reranking = Reranking(script, 0.01)
    assert (await reranking.rank("weather", CARDS)).failure == "The script did not answer within 10 ms"
    script.let.set()
    await asyncio.wait(reranking._under_way.values())
    report = await reranking.rank("weather", CARDS)
    assert (report.order, report.repeated) == ((3, 1, 2, 0), True)


async def test_a_reranker_that_keeps_failing_is_left_alone_until_one_search_finds_it_well() -> None:
    script, clock = Scripted(), Clock()
    reranking = Reranking(script, 10, CircuitBreaker(2, 30, clock=clock))
    script.result = None
    for number in range(4):
        assert (await reranking.rank(f"query {number}", CARDS)).failure
    assert len(script.queries) == 2
    assert (await reranking.rank("one more", CARDS)).failure == (
        "The script failed 2 times in a row and is left alone for 30 s more"
    )
    clock.now = 31
    script.result = [2]
    script.let.clear()
    script.asked.clear()
    probe = asyncio.create_task(reranking.rank("is it back", CARDS))
    await script.asked.wait()
    assert (await reranking.rank("beside it", CARDS)).failure
    script.let.set()
    assert (await probe).failure == ""
    assert (await reranking.rank("after it", CARDS)).failure == ""


async def test_one_that_is_always_too_late_is_left_alone_too() -> None:
    script = Scripted()
    script.let.clear()
    reranking = Reranking(script, 0.001, CircuitBreaker(3, 30))
    for number in range(5):
        await reranking.rank(f"query {number}", CARDS)
    assert len(script.queries) == 3
    await reranking.aclose()


async def test_no_more_than_so_many_calls_are_under_way() -> None:
    script = Scripted()
    script.let.clear()
    reranking = Reranking(script, 10, CircuitBreaker(1_000, 30))
    searches = [asyncio.create_task(reranking.rank(f"query {number}", CARDS)) for number in range(40)]
    await asyncio.wait(searches, return_when=asyncio.FIRST_COMPLETED)
    script.let.set()
    failures = [(await search).failure for search in searches]
    assert failures.count("The script has 32 calls under way already") == 8
    assert len(script.queries) == 32


async def test_a_search_that_is_given_up_leaves_the_next_one_its_try() -> None:
    script, clock = Scripted(), Clock()
    breaker = CircuitBreaker(1, 30, clock=clock)
    reranking = Reranking(script, 10, breaker)
    breaker.record_failure()
    clock.now = 31
    script.let.clear()
    search = asyncio.create_task(reranking.rank("given up", CARDS))
    await script.asked.wait()
    search.cancel()
    await asyncio.wait({search})
    script.let.set()
    assert (await reranking.rank("the next", CARDS)).failure == ""


async def test_failing_and_being_back_are_said_once_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    script = Scripted()
    reranking = Reranking(script, 10)
    for result in ([2], None, None, [2], [2]):
        script.result = result
        await reranking.rank(f"query {len(script.queries)}", CARDS)
    assert [record.message.partition(":")[0] for record in caplog.records if "erank" in record.message] == [
        "Reranking fails, and searches keep the order of the index",
        "Reranking works again.",
    ]


async def test_readiness_says_how_the_reranker_did_and_the_gateway_is_ready_all_the_same(
    settings: Settings, tmp_path: Path
) -> None:
    async with RankingServer("jina").running() as server:
        rerank = RerankSettings("server", server.url, budget_ms=10_000)
        async with open_components(replace(settings, rerank=rerank)) as parts, running_gateway(parts) as gateway:
            await add_local_mcp(parts, tmp_path)
            for fault, ready in ((Fault(status=500), False), (None, True)):
                server.fault = fault
                await gateway.call("tool_search", {"query": f"what is the weather {ready}"})
                answer = await gateway.http.get("/ready")
                assert (answer.status_code, answer.json()["parts"]["reranker"]["ready"]) == (200, ready)
                assert server.url in answer.json()["parts"]["reranker"]["detail"]


async def test_what_is_kept_is_bounded() -> None:
    reranking = Reranking(Scripted(), 10)
    for number in range(5_010):
        reranking._orders[str(number).encode()] = FIRST
    assert len(reranking._orders) == 5_000
