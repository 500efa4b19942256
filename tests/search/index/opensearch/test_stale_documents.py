"""What was forgotten ranks no more with the next search, although its document is still there as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gateway.catalog.examples.tool_examples import ToolExamples
from gateway.database.notices import Notices
from gateway.search.index.opensearch.opensearch_index import OpenSearchIndex
from gateway.search.index.tool_index import SearchScope, ToolIndex
from gateway.search.query.parsed_query import ParsedQuery
from gateway.search.ranking import ASSUMED_BASELINE, rank
from gateway.settings import OpenSearchSettings
from tests.support.indexed_catalogue import TENANT, CataloguedTool, IndexedCatalogue

ASIDE, NEAR, AWAY = (0.0, 1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (-1.0, 0.0, 0.0, 0.0)
# It was learnt that it is meant by what is searched for, with something taken from each of its cosines.
LEARNT = CataloguedTool("farm", "count_cows", "Count the cows", vector=ASIDE, learnt=(*NEAR, 0.125))
OTHERS = (
    CataloguedTool("farm", "feed_cat", "Feed the cat", vector=(0.6, 0.8, 0.0, 0.0)),
    CataloguedTool("sea", "sail", "Sail a boat", vector=AWAY),
)
# With a clause, which is measured by itself.
QUERIES = [ParsedQuery((), np.array(vector, np.float32)) for vector in (NEAR, NEAR, (0.8, 0.0, 0.6, 0.0))]


async def _cosines(index: ToolIndex, scope: SearchScope, catalogue: IndexedCatalogue) -> dict[str, list[float]]:
    """Of each tool for each of the queries."""
    signals = await index.signals(scope, catalogue.space, QUERIES)
    assert signals.notice == ""
    assert signals.cosines is not None
    names = {tool_id: name for name, tool_id in catalogue.ids.items()}
    return {
        names[tool_id]: signals.cosines[:, place].tolist() for place, tool_id in enumerate(signals.tool_ids.tolist())
    }


async def _best(index: OpenSearchIndex, scope: SearchScope, catalogue: IndexedCatalogue) -> int:
    signals = await index.signals(scope, catalogue.space, QUERIES)
    return int(signals.tool_ids[rank(signals, ASSUMED_BASELINE).order[0]])


@pytest.mark.parametrize("deep", [True, False], ids=["all measured", "some measured"])
async def test_what_was_forgotten_ranks_no_more_before_its_document_follows(
    catalogue: IndexedCatalogue, opensearch: OpenSearchSettings, deep: bool
) -> None:
    notices = Notices(catalogue.database)
    many = [CataloguedTool("office", f"read_{number}", vector=AWAY) for number in range(0 if deep else 300)]
    await catalogue.upsert(LEARNT, *OTHERS, *many)
    scope = SearchScope(TENANT, (await catalogue.add_role("some", *catalogue.ids),))
    memory = catalogue.memory(notices)
    async with catalogue.opensearch(notices, opensearch, depth=512 if deep else 20) as (index, feed):
        await feed.catch_up()
        learnt = catalogue.ids[LEARNT.exposed_name]
        assert await _best(index, scope, catalogue) == learnt
        async with catalogue.database.transaction() as transaction:
            await ToolExamples(catalogue.database).clear_effect(transaction, TENANT, [learnt])
        assert await _best(index, scope, catalogue) == catalogue.ids["farm__feed_cat"]
        expected = await _cosines(memory, scope, catalogue)
        for name, cosines in (await _cosines(index, scope, catalogue)).items():
            assert cosines == pytest.approx(expected[name], abs=1e-5)
        # Once it has followed, nothing is read anew.
        await feed.catch_up()
        assert (await _cosines(index, scope, catalogue))["farm__count_cows"] == pytest.approx([0, 0, 0], abs=1e-5)


async def test_a_tool_that_lost_its_vector_or_went_is_measured_as_it_is(
    catalogue: IndexedCatalogue, opensearch: OpenSearchSettings
) -> None:
    notices = Notices(catalogue.database)
    await catalogue.upsert(LEARNT, *OTHERS)
    scope = SearchScope(TENANT, (await catalogue.add_role("some", *catalogue.ids),))
    async with catalogue.opensearch(notices, opensearch) as (index, feed):
        await feed.catch_up()
        await catalogue.upsert(replace(LEARNT, vector=None, learnt=None))
        await catalogue.hide("farm__feed_cat")
        cosines = await _cosines(index, scope, catalogue)
        assert np.isnan(cosines["farm__count_cows"]).all()
        assert cosines["sea__sail"] == pytest.approx([-1, -1, -0.8], abs=1e-3)
