"""What the index in PostgreSQL does where there are too many tools to compare all."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.database.notices import Notices
from gateway.search.index import pgvector_index
from gateway.search.index.tool_index import SearchScope
from gateway.search.query.parsed_query import ParsedQuery
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
