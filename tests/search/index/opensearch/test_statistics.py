"""For how long the index believes what it has counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import anyio

from gateway.embedding.embedder import EmbeddingSpace
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.search.index.opensearch.opensearch_index import OpenSearchIndex
from gateway.search.index.opensearch.scope_filter import ScopeFilter
from gateway.search.index.opensearch.stale_documents import StaleDocuments
from gateway.search.index.tool_index import SearchScope
from gateway.settings import OpenSearchSettings

SPACE = StoredSpace(1, EmbeddingSpace("test", "four numbers", 4, "", ""))
SCOPE = SearchScope(1, (1,))
CLAUSES = ({"term": {"tenant": "x/1"}},)
FILTER = ScopeFilter(CLAUSES, CLAUSES, 10, "x/1", 1, ("x/1",))


class CountingCluster:
    """Ten tools, of which those words stand in one that are in `words`."""

    settings = OpenSearchSettings()

    def __init__(self) -> None:
        self.words: set[str] = set()
        self.version = 1
        self.counted: Counter[str] = Counter()

    async def search_each(
        self, index: str, bodies: Sequence[Mapping[str, Any]], *, routing: str
    ) -> list[Mapping[str, Any]]:
        return [
            {
                "aggregations": {"lengths": {"count": 10, "avg": 3.0}, **self._terms(body)},
                "hits": {"hits": [{"_source": {"feed": {"version": self.version}}}]},
            }
            for body in bodies
        ]

    def _terms(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        asked = body.get("aggs", {}).get("terms")
        if asked is None:
            return {}
        words = [each["term"]["terms"] for each in asked["filters"]["filters"]]
        self.counted.update(words)
        return {"terms": {"buckets": [{"doc_count": int(word in self.words)} for word in words]}}


def _index(cluster: CountingCluster, seconds: float) -> OpenSearchIndex:
    async def filter_of(scope: SearchScope) -> ScopeFilter:
        return FILTER

    filters: Any = SimpleNamespace(filter_of=filter_of)
    client: Any = cluster
    database: Any = None
    return OpenSearchIndex(client, filters, StaleDocuments(database), database, 50_000, statistics_seconds=seconds)


async def _knows(index: OpenSearchIndex, *words: str) -> bool:
    return "tiger" in (await index.vocabulary(SCOPE, SPACE, [" ".join(words)], 0)).known({"tiger"})


async def test_what_was_counted_is_counted_anew_also_while_others_search_without_a_pause() -> None:
    cluster = CountingCluster()
    index = _index(cluster, 0.2)
    assert not await _knows(index, "tiger")
    cluster.words.add("tiger")
    cluster.version += 1
    with anyio.fail_after(5):
        number = 0
        while not await _knows(index, "tiger", "w" + "abcdefghij"[number % 10] * (1 + number // 10)):
            number += 1
            await anyio.sleep(0.02)


async def test_terms_are_not_counted_again_while_the_tools_are_found_to_be_the_same() -> None:
    cluster = CountingCluster()
    cluster.words.add("tiger")
    index = _index(cluster, 0.0)
    for _ in range(3):
        assert await _knows(index, "tiger", "lion")
    assert cluster.counted == {"tiger": 1, "lion": 1}


async def test_what_is_known_of_other_tools_is_counted_anew_in_the_same_search() -> None:
    cluster = CountingCluster()
    index = _index(cluster, 0.0)
    assert not await _knows(index, "tiger", "lion")
    cluster.words.add("tiger")
    cluster.version += 1
    assert await _knows(index, "tiger", "bear")
    assert cluster.counted == {"tiger": 2, "lion": 1, "bear": 1}
