"""Tenants that do not fit into memory."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gateway.database.notices import Notices
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.errors import IndexTooLargeError
from gateway.search.index.tiered_index import TieredIndex
from gateway.search.index.tool_index import SearchScope
from gateway.search.query.parsed_query import ParsedQuery
from gateway.search.ranking import Signals
from tests.support.indexed_catalogue import MIB, TENANT, CataloguedTool, IndexedCatalogue


async def test_a_tenant_that_is_too_large_is_searched_in_postgresql_and_it_is_said_once(
    catalogue: IndexedCatalogue, caplog: pytest.LogCaptureFixture
) -> None:
    notices = Notices(catalogue.database)
    index = TieredIndex(catalogue.memory(notices, 20_000), catalogue.pgvector(notices))
    await catalogue.upsert(*(CataloguedTool("farm", f"feed_{number}") for number in range(20)))
    role_id = await catalogue.add_role("some", "farm__feed_1", "farm__feed_2")
    scope = SearchScope(TENANT, (role_id,))
    query = ParsedQuery(("1",), None)
    for _ in range(3):
        signals = await index.signals(scope, catalogue.space, [query])
        assert signals.tool_ids.tolist() == [catalogue.ids["farm__feed_1"], catalogue.ids["farm__feed_2"]]
        assert set(await index.cards(scope, catalogue.space, signals.tool_ids.tolist())) == set(signals.tool_ids)
        assert await index.named(scope, catalogue.space, "feed_1") == [catalogue.ids["farm__feed_1"]]
        assert (await index.vocabulary(scope, catalogue.space, ["feed"], 8)).found_in("feed") == 2
    assert index.tenants_in_database == {TENANT}
    said = [record.message for record in caplog.records if "search.index_mib" in record.message]
    assert len(said) == 1
    assert "20 tools of tenant 1" in said[0]

    await catalogue.hide(*(f"farm__feed_{number}" for number in range(1, 19)))
    assert len((await index.signals(scope, catalogue.space, [query])).tool_ids) == 0
    assert index.tenants_in_database == set()


async def test_a_tenant_that_fits_is_not_asked_of_postgresql(catalogue: IndexedCatalogue) -> None:
    notices = Notices(catalogue.database)
    memory = catalogue.memory(notices, MIB)
    index = TieredIndex(memory, catalogue.pgvector(notices))
    await catalogue.upsert(CataloguedTool("farm", "feed_cat"))
    await index.vocabulary(SearchScope(TENANT, ()), catalogue.space, ["cat"], 8)
    assert list(memory.tenant_ids) == [TENANT]


async def test_it_is_said_once_though_words_alone_fit(
    catalogue: IndexedCatalogue, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    notices = Notices(catalogue.database)
    memory = catalogue.memory(notices)
    index = TieredIndex(memory, catalogue.pgvector(notices))
    fits = memory.signals

    async def signals(scope: SearchScope, space: StoredSpace | None, queries: Sequence[ParsedQuery]) -> Signals:
        if space is not None:
            raise IndexTooLargeError(scope.tenant_id, 20)
        return await fits(scope, space, queries)

    monkeypatch.setattr(memory, "signals", signals)
    for space in (catalogue.space, None) * 3:
        await index.signals(SearchScope(TENANT, ()), space, [ParsedQuery(("1",), None)])
    assert len([record for record in caplog.records if "search.index_mib" in record.message]) == 1
