"""What the index in PostgreSQL does where there are too many tools to compare all."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.database.notices import Notices
from gateway.search.index import pgvector_index
from gateway.search.index.tool_index import SearchScope
from gateway.search.query.parsed_query import ParsedQuery
from gateway.search.ranking import ASSUMED_BASELINE, Floats, rank
from tests.support.indexed_catalogue import DIMENSIONS, TENANT, CataloguedTool, IndexedCatalogue


async def test_of_more_than_exact_tools_the_nearest_and_the_best_by_words_are_measured(
    catalogue: IndexedCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgvector_index, "_CANDIDATES", 5)
    random = np.random.default_rng(5)
    tools = []
    for number in range(60):
        vector = random.normal(size=DIMENSIONS)
        description = "feed " * (number % 7) + "the cow"
        tools.append(
            CataloguedTool("farm", f"tool_{number}", description, vector=tuple(vector / np.linalg.norm(vector)))
        )
    await catalogue.upsert(*tools)
    visible = [tool.exposed_name for tool in tools[::2]]
    scope = SearchScope(TENANT, (await catalogue.add_role("some", *visible),))
    notices = Notices(catalogue.database)
    query = ParsedQuery(("feed",), np.array([1, 0, 0, 0], np.float32))
    exact = await catalogue.pgvector(notices).signals(scope, catalogue.space, [query])
    some = await catalogue.pgvector(notices, exact_tools=29).signals(scope, catalogue.space, [query])
    assert exact.cosines is not None
    assert some.cosines is not None
    assert len(exact.tool_ids) == 30
    expected = {
        *exact.tool_ids[np.argsort(-exact.cosines[0])[:5]].tolist(),
        *exact.tool_ids[np.lexsort((exact.tool_ids, -exact.lexical[0]))[:5]].tolist(),
    }
    assert set(some.tool_ids.tolist()) == expected
    # How rare a word is, is still counted over all that the caller may see.
    places = np.isin(exact.tool_ids, some.tool_ids)
    assert some.max_lexical == pytest.approx(exact.max_lexical)
    assert some.lexical[0] == pytest.approx(exact.lexical[0, places])
    assert some.cosines[0] == pytest.approx(exact.cosines[0, places])


async def test_of_more_than_exact_tools_the_order_is_that_of_all(
    catalogue: IndexedCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgvector_index, "_CANDIDATES", 120)
    monkeypatch.setattr(pgvector_index, "_SAMPLE", 150)
    random = np.random.default_rng(7)
    tools = []
    for number in range(400):
        vector = random.normal(loc=(1, 0, 0, 0), size=DIMENSIONS)
        description = "feed " * (number % 5) + "cow " * (number % 3) + "the boat"
        known = None if number % 13 == 0 else tuple(vector / np.linalg.norm(vector))
        tools.append(CataloguedTool("farm", f"tool_{number}", description, vector=known))
    await catalogue.upsert(*tools)
    scope = SearchScope(TENANT, (await catalogue.add_role("some", *catalogue.ids),))
    notices = Notices(catalogue.database)
    for words in (("feed",), ("feed", "cow"), ("nowher",)):
        queries = [ParsedQuery(words, vector / np.linalg.norm(vector)) for vector in _directions(random)]
        every = await catalogue.memory(notices).signals(scope, catalogue.space, queries)
        some = await catalogue.pgvector(notices, exact_tools=399).signals(scope, catalogue.space, queries)
        assert (some.tools, some.population is not None) == (400, True)
        assert len(some.tool_ids) < 400
        best, expected = rank(some, ASSUMED_BASELINE), rank(every, ASSUMED_BASELINE)
        found, wanted = some.tool_ids[best.order[:20]].tolist(), every.tool_ids[expected.order[:22]].tolist()
        assert len(set(found) & set(wanted)) >= 18
        assert some.population is not None
        assert every.cosines is not None
        assert some.population.lexical[0].mean == pytest.approx(float(every.lexical[0].mean()), rel=1e-4)
        assert some.population.lexical[0].deviation == pytest.approx(float(every.lexical[0].std()), rel=1e-4, abs=1e-6)
        assert some.population.cosines[0].mean == pytest.approx(float(np.nanmean(every.cosines[0])), abs=0.1)


def _directions(random: np.random.Generator) -> Floats:
    return random.normal(size=(3, DIMENSIONS)).astype(np.float32)
