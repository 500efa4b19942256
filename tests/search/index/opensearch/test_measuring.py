"""That the best of many tools are found by as few hits as that takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gateway.database.notices import Notices
from gateway.search.index.opensearch import scope_measurement
from gateway.search.index.opensearch.scope_measurement import Scope, ScopeMeasurement, _Leg
from gateway.search.index.tool_index import SearchScope
from gateway.search.query.parsed_query import ParsedQuery
from gateway.search.ranking import ASSUMED_BASELINE, Signals, rank
from gateway.search.score import scores_of
from gateway.settings import OpenSearchSettings
from tests.support.indexed_catalogue import DIMENSIONS, TENANT, CataloguedTool, IndexedCatalogue

WORDS = ("feed", "cow", "sail", "boat", "read", "file")


def _many(count: int) -> list[CataloguedTool]:
    """Tools of three servers with words and vectors by chance; some have no vector, some no word that is asked for."""
    random = np.random.default_rng(7)
    tools = []
    for number in range(count):
        vector = random.normal(size=DIMENSIONS)
        words = random.choice(WORDS, size=random.integers(0, 9))
        tools.append(
            CataloguedTool(
                ("farm", "sea", "office")[number % 3],
                f"t{number}",
                " ".join(words),
                vector=None if number % 11 == 0 else tuple(vector / np.linalg.norm(vector)),
            )
        )
    return tools


async def test_what_is_ranked_is_what_would_be_if_all_were_measured_and_nearly_so_by_the_graph(
    catalogue: IndexedCatalogue, opensearch: OpenSearchSettings
) -> None:
    notices = Notices(catalogue.database)
    await catalogue.upsert(*_many(700))
    scope = SearchScope(TENANT, (await catalogue.add_role("some", *catalogue.ids),))
    memory = catalogue.memory(notices)
    async with (
        catalogue.opensearch(notices, opensearch, depth=300) as (index, feed),
        catalogue.opensearch(notices, opensearch, exact_tools=600, depth=20) as (by_graph, _),
    ):
        await feed.catch_up()
        for words in (("feed",), ("feed", "cow", "boat"), ("nowher",)):
            queries = [
                ParsedQuery(words, np.array([0.5, 0.5, 0.5, 0.5], np.float32)),
                ParsedQuery(words[:1], np.array([1, 0, 0, 0], np.float32)),
                ParsedQuery(words[1:], np.array([0, -1, 0, 0], np.float32)),
            ]
            every = await memory.signals(scope, catalogue.space, queries)
            some = await index.signals(scope, catalogue.space, queries)
            assert (some.notice, some.tools) == ("", 700)
            assert len(some.tool_ids) < 700
            best, expected = rank(some, ASSUMED_BASELINE), rank(every, ASSUMED_BASELINE)
            scores, wanted = scores_of(some, best, ASSUMED_BASELINE), scores_of(every, expected, ASSUMED_BASELINE)
            # The order is the same up to what nine bits of a word's weight leave open.
            assert scores[best.order] == pytest.approx(wanted[expected.order], abs=0.01)
            found = some.tool_ids[best.order[:20]].tolist()
            assert len(set(found) & set(every.tool_ids[expected.order[:22]].tolist())) >= 19
            _assert_near(await by_graph.signals(scope, catalogue.space, queries), every)


async def test_what_the_most_hits_of_a_search_leave_open_is_measured_in_postgresql(
    catalogue: IndexedCatalogue, opensearch: OpenSearchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scope_measurement, "MAX_DEPTH", 40)
    notices = Notices(catalogue.database)
    await catalogue.upsert(*_many(700))
    scope = SearchScope(TENANT, (await catalogue.add_role("some", *catalogue.ids),))
    async with catalogue.opensearch(notices, opensearch, depth=20) as (index, feed):
        await feed.catch_up()
        queries = [ParsedQuery(("feed", "cow", "boat"), np.array([0.5, 0.5, 0.5, 0.5], np.float32))]
        found = await index.signals(scope, catalogue.space, queries)
        assert (found.notice, index.asked["postgresql"]) == ("", 1)
        assert len(found.tool_ids) == 700


def _assert_near(some: Signals, every: Signals) -> None:
    """By the graph and a sample, of more tools than are all compared."""
    assert some.notice == ""
    assert some.population is not None
    assert every.cosines is not None
    best = every.tool_ids[rank(every, ASSUMED_BASELINE).order[:10]].tolist()
    assert len(set(best) & set(some.tool_ids[rank(some, ASSUMED_BASELINE).order[:12]].tolist())) >= 9
    assert some.population.cosines[0].mean == pytest.approx(float(np.nanmean(every.cosines[0])), abs=0.05)
    assert some.population.lexical[0].mean == pytest.approx(float(every.lexical[0].mean()), rel=2e-3)


class SparseGraph:
    """A cluster of 3,000 tools whose graph finds one tool, and whose words another one."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def search_each(self, index: str, bodies: Sequence[Any], *, routing: str) -> list[Any]:
        self.asked += bodies
        return [self._answer(body) for body in bodies]

    def _answer(self, body: Any) -> Any:
        moments = {"count": 3, "avg": 0.1, "std_deviation": 0.2, "sum": 0.3, "sum_of_squares": 0.1}
        tool, score = (1, 1.9) if "knn" in body["query"] else (2, 1.8)
        hits = [{"_score": None, "sort": [score, tool, 1, tool]}] if body["size"] else []
        return {"hits": {"hits": hits}, "aggregations": {"moments": moments}}


async def test_what_the_graph_did_not_find_is_measured_although_it_found_fewer_than_it_could() -> None:
    cluster = SparseGraph()
    client: Any = cluster
    scope = Scope("index", "1", ({"term": {"tenant": "x/1"}},), 3_000, 3.0, {"feed": 1})
    queries = [ParsedQuery(("feed",), np.array([1, 0, 0, 0], np.float32))]
    measuring = ScopeMeasurement(client, scope, queries, ASSUMED_BASELINE, exact_tools=10)
    signals = await measuring.signals()
    assert signals.tool_ids.tolist() == [1, 2]
    assert signals.cosines is not None
    assert signals.cosines[0].tolist() == pytest.approx([0.9, 0.8])
    assert {"terms": {"tool": [2]}} in cluster.asked[-1]["query"]["script_score"]["query"]["bool"]["filter"]


async def test_more_tools_than_one_search_gives_are_measured_by_several(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = SparseGraph()
    client: Any = cluster
    monkeypatch.setattr(scope_measurement, "MAX_DEPTH", 100)
    scope = Scope("index", "1", ({"term": {"tenant": "x/1"}},), 3_000, 3.0, {"feed": 1})
    queries = [ParsedQuery(("feed",), np.array([1, 0, 0, 0], np.float32))]
    measuring = ScopeMeasurement(client, scope, queries, ASSUMED_BASELINE, exact_tools=10)
    await measuring._fill(np.arange(250), [_Leg(is_cut=True)], [])
    assert [body["size"] for body in cluster.asked] == [100, 100, 50]
