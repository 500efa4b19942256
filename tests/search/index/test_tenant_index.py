from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from gateway.search.index.tenant_index import IndexedTool, TenantIndex
from gateway.search.query.parsed_query import ParsedQuery

NORTH, EAST = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
BOTH = np.ones(2, np.bool_)


def _tool(tool_id: int, position: int, *words: str, vector: np.ndarray | None = NORTH, **more: object) -> IndexedTool:
    values = {
        "server_id": 1,
        "category": "other",
        "exposed_name": f"farm__{tool_id}",
        "name": f"tool_{tool_id}",
        "terms": dict.fromkeys(words, 1),
        "length": len(words),
        "vector": vector,
        "size_bytes": 100,
    }
    return IndexedTool(tool_id=tool_id, position=position, **{**values, **more})  # type: ignore[arg-type]


def _ids(index: TenantIndex, visible: np.ndarray = BOTH, **narrowed: object) -> list[int]:
    signals = index.signals(visible, [ParsedQuery((), None)], **narrowed)  # type: ignore[arg-type]
    return [int(tool_id) for tool_id in signals.tool_ids]


def test_only_tools_at_visible_positions_are_measured() -> None:
    index = TenantIndex(2)
    index.upsert([_tool(7, 0), _tool(9, 1), _tool(11, 200)])
    assert _ids(index) == [7, 9]
    assert _ids(index, np.array([False, True])) == [9]
    assert _ids(index, np.zeros(0, np.bool_)) == []
    assert _ids(index, np.ones(1_000, np.bool_)) == [7, 9, 11]


def test_equal_searches_see_what_has_changed_between_them() -> None:
    index, everything = TenantIndex(2), np.ones(10, np.bool_)
    index.upsert([_tool(7, 0, "cat"), _tool(9, 1, "dog")])
    assert _ids(index, everything) == [7, 9]
    index.upsert([_tool(11, 2, "cat", vector=EAST)])
    assert _ids(index, everything) == [7, 9, 11]
    index.remove([7])
    signals = index.signals(everything, [ParsedQuery(("cat",), EAST)])
    assert signals.tool_ids.tolist() == [9, 11]
    assert signals.cosines is not None
    assert signals.cosines.tolist() == [[0.0, 1.0]]
    assert signals.lexical[0, 0] == 0 < signals.lexical[0, 1]
    assert index.vocabulary(everything).found_in("cat") == 1
    everything[2] = False
    assert _ids(index, everything) == [9]
    assert index.vocabulary(everything).found_in("cat") == 0


def test_a_search_is_narrowed_to_a_category_and_a_server() -> None:
    index = TenantIndex(2)
    index.upsert([_tool(7, 0, category="git"), _tool(9, 1, server_id=2)])
    assert _ids(index, category="git") == [7]
    assert _ids(index, server_id=2) == [9]
    assert _ids(index, category="git", server_id=2) == []
    assert _ids(index, category="none has it") == []


def test_a_tool_is_replaced_wherever_it_stands() -> None:
    index = TenantIndex(2)
    index.upsert([_tool(7, 0, "cat", exposed_name="a", name="b")])
    index.upsert([_tool(7, 1, "dog", exposed_name="a", name="c", vector=EAST)])
    assert index.tools == index.vectors == 1
    assert (index.found_in("cat"), index.found_in("dog")) == (0, 1)
    assert (index.named("a"), index.named("b"), index.named("c")) == ([7], [], [7])
    signals = index.signals(BOTH, [ParsedQuery((), EAST)])
    assert signals.tool_ids.tolist() == [7]
    assert signals.cosines is not None
    assert signals.cosines.tolist() == [[1.0]]


def test_what_is_removed_leaves_nothing_behind() -> None:
    index = TenantIndex(2)
    index.upsert([_tool(7, 0)])
    index.remove([7])
    empty = index.size_bytes
    index.upsert([_tool(7, 0, exposed_name="same", name="same"), _tool(9, 1)])
    index.remove([7, 9, 1_234])
    assert index.tools == index.vectors == 0
    assert index.named("same") == []
    assert _ids(index) == []
    assert index.size_bytes == empty


def test_a_tool_takes_as_much_however_many_came_and_went_before_it() -> None:
    first, last = TenantIndex(2), TenantIndex(2)
    first.upsert([_tool(7, 0, "cat")])
    last.upsert([_tool(7, 450_000, "cat")])
    assert last.size_bytes == first.size_bytes
    visible = np.zeros(450_001, np.bool_)
    assert _ids(last, visible) == []
    visible[450_000] = True
    assert _ids(last, visible) == [7]
    assert _ids(last, visible[:-1]) == []
    assert last.position(7) == 450_000


def test_places_and_words_of_tools_that_went_are_used_again() -> None:
    index = TenantIndex(2)
    index.upsert([_tool(number, number, f"word{number}") for number in range(100)])
    full = index.size_bytes
    for start in range(100, 2_000, 100):
        index.remove(range(start - 100, start))
        index.upsert([_tool(number, number, f"word{number}") for number in range(start, start + 100)])
    assert index.size_bytes == full
    visible = np.arange(2_000) % 2 == 0
    assert sorted(_ids(index, visible)) == list(range(1_900, 2_000, 2))
    assert (index.found_in("word1999"), index.found_in("word1899"), index.known({"word1899"})) == (1, 0, set())
    assert not index.is_sparse
    index.remove(range(1_920, 2_000))
    assert index.is_sparse


def test_a_sample_and_tools_of_one_name_come_in_the_order_of_their_positions() -> None:
    index = TenantIndex(2)
    index.upsert([_tool(1, 0), _tool(2, 1, name="same", vector=EAST)])
    index.remove([1])
    index.upsert([_tool(3, 2, name="same", vector=NORTH)])
    assert index.named("same") == [2, 3]
    assert index.sample().tolist() == [EAST.tolist(), NORTH.tolist()]


@pytest.mark.parametrize("shown", [1, 90, 700])
def test_the_cosines_are_the_same_however_many_are_asked_for(shown: int) -> None:
    random = np.random.default_rng(3)
    vectors = random.normal(size=(700, 2)).astype(np.float32)
    index = TenantIndex(2)
    index.upsert([_tool(number, number, vector=vector) for number, vector in enumerate(vectors)])
    visible = np.arange(700) < shown
    for queries in ([EAST], [NORTH, EAST]):
        cosines = index.signals(visible, [ParsedQuery((), query) for query in queries]).cosines
        assert cosines == pytest.approx(np.stack(queries) @ vectors[:shown].T)


def test_a_tool_without_a_vector_has_no_cosine() -> None:
    index = TenantIndex(2)
    index.upsert([_tool(7, 0, vector=None), _tool(9, 1)])
    signals = index.signals(BOTH, [ParsedQuery((), NORTH)])
    assert signals.cosines is not None
    assert np.isnan(signals.cosines[0]).tolist() == [True, False]
    assert index.signals(np.array([True, False]), [ParsedQuery((), NORTH)]).cosines is None
    assert index.signals(BOTH, [ParsedQuery((), NORTH), ParsedQuery((), None)]).cosines is None


def test_the_vocabulary_is_that_of_the_visible_tools() -> None:
    index = TenantIndex(2)
    index.upsert([_tool(7, 0, "cat"), _tool(9, 1, "cat", "dog", server_id=2)])
    assert index.vocabulary(BOTH).found_in("cat") == 2
    assert index.vocabulary(np.array([True, False])).found_in("dog") == 0
    assert index.vocabulary(BOTH, server_id=2).found_in("cat") == 1


def test_a_sample_is_spread_over_the_catalogue() -> None:
    index = TenantIndex(2)
    index.upsert([_tool(number, number, vector=np.array([number, 0], np.float32)) for number in range(100)])
    assert index.sample(4)[:, 0].tolist() == [0, 25, 50, 75]
    assert len(index.sample()) == 100


def test_what_it_says_that_it_takes_is_what_it_takes() -> None:
    random = np.random.default_rng(1)
    words = [f"word{number}" for number in range(3_000)]
    tracemalloc.start()
    try:
        index = TenantIndex(2)
        before = tracemalloc.get_traced_memory()[0]
        for start in range(0, 4_000, 1_000):
            # Each tool comes with strings of its own, as from the database.
            drawn = random.integers(0, 3_000, (1_000, 40)).tolist()
            index.upsert(
                [
                    _tool(start + number, start + number, *("".join(words[word]) for word in set(of_tool)))
                    for number, of_tool in enumerate(drawn)
                ]
            )
        took = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.5 * took < index.size_bytes < 2 * took
