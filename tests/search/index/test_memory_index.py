"""How the index in memory follows the catalogue, and what it does where that does not fit."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from gateway.access.tenants import create_tenant, delete_tenant
from gateway.database.notices import Notices
from gateway.database.pool import open_database
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.errors import IndexTooLargeError
from gateway.search.index import loaded_tenant, memory_index
from gateway.search.index.memory_index import MemoryIndex
from gateway.search.index.tool_index import SearchScope
from gateway.search.query.parsed_query import ParsedQuery
from gateway.settings import Settings
from tests.support.catalogue import direct_connection
from tests.support.database_proxy import DatabaseProxy
from tests.support.indexed_catalogue import DIMENSIONS, MIB, TENANT, CataloguedTool, FixedSpaces, IndexedCatalogue
from tests.support.rows import value
from tests.support.waiting import until

FEED = CataloguedTool("farm", "feed_cat", "Feed the cat")
COUNT = CataloguedTool("farm", "count_cows", "Count the cows", vector=(0.0, 1.0, 0.0, 0.0))
SAIL = CataloguedTool("sea", "sail", "Sail a boat", vector=(0.0, 0.0, 1.0, 0.0))
CAT = ParsedQuery(("cat",), np.array([1, 0, 0, 0], np.float32))
SPEED_TRIES = 9


@pytest.fixture
async def notices(catalogue: IndexedCatalogue) -> AsyncIterator[Notices]:
    notices = Notices(catalogue.database)
    async with notices.listening():
        yield notices


async def _role(catalogue: IndexedCatalogue) -> SearchScope:
    """The scope of a role that finds everything."""
    async with direct_connection(catalogue.database) as connection:
        role_id = await connection.fetchval("SELECT id FROM roles WHERE tenant_id = 1 AND name = 'all'")
    return SearchScope(TENANT, (role_id,))


async def _found(index: MemoryIndex, scope: SearchScope, catalogue: IndexedCatalogue) -> dict[str, float]:
    """The names of all tools in scope, with their BM25 for "cat"."""
    signals = await index.signals(scope, catalogue.space, [CAT])
    cards = await index.cards(scope, catalogue.space, signals.tool_ids.tolist())
    return {
        cards[tool_id].exposed_name: score
        for tool_id, score in zip(signals.tool_ids.tolist(), signals.lexical[0].tolist(), strict=True)
    }


async def _finds_only(name: str, index: MemoryIndex, scope: SearchScope, catalogue: IndexedCatalogue) -> bool:
    return set(await _found(index, scope, catalogue)) == {name}


async def test_a_tool_that_changes_goes_or_comes_back_is_found_as_it_is(
    catalogue: IndexedCatalogue, notices: Notices
) -> None:
    index = catalogue.memory(notices)
    await catalogue.upsert(FEED, COUNT)
    scope = await _role(catalogue)
    found = await _found(index, scope, catalogue)
    assert found["farm__feed_cat"] > 0 == found["farm__count_cows"]

    await catalogue.upsert(replace(COUNT, description="Count the cats"), replace(FEED, name="feed_cat", description=""))
    assert (await _found(index, scope, catalogue))["farm__count_cows"] > 0
    feed = catalogue.ids["farm__feed_cat"]
    assert (await index.cards(scope, catalogue.space, [feed]))[feed].description == ""

    await catalogue.hide("farm__feed_cat")
    assert set(await _found(index, scope, catalogue)) == {"farm__count_cows"}
    await catalogue.upsert(FEED)
    assert set(await _found(index, scope, catalogue)) == {"farm__count_cows", "farm__feed_cat"}
    assert await index.named(scope, catalogue.space, "feed_cat") == [feed]


async def test_a_server_that_goes_takes_its_tools_along_and_leaves_their_places_empty(
    catalogue: IndexedCatalogue, notices: Notices
) -> None:
    index = catalogue.memory(notices)
    await catalogue.upsert(FEED, SAIL)
    scope = await _role(catalogue)
    before = await _found(index, scope, catalogue)
    await catalogue.remove_server("sea")
    await catalogue.upsert(COUNT)
    assert set(before) == {"farm__feed_cat", "sea__sail"}
    assert set(await _found(index, scope, catalogue)) == {"farm__feed_cat", "farm__count_cows"}
    positions = "SELECT array_agg(position ORDER BY position) FROM tools"
    assert await value(catalogue.database.url, positions) == [0, 2]


async def test_tools_that_went_leave_no_memory_behind(catalogue: IndexedCatalogue, notices: Notices) -> None:
    index = catalogue.memory(notices)
    scope = await _role(catalogue)
    await catalogue.upsert(FEED)
    await _found(index, scope, catalogue)
    before = index.size_bytes
    many = [CataloguedTool("sea", f"sail_{number}", f"word{number}") for number in range(150)]
    await catalogue.upsert(*many)
    assert len(await _found(index, scope, catalogue)) == 151
    await catalogue.remove_server("sea")
    assert set(await _found(index, scope, catalogue)) == {"farm__feed_cat"}
    assert index.size_bytes == before


async def test_a_server_that_is_renamed_is_shown_and_named_by_its_new_name(
    catalogue: IndexedCatalogue, notices: Notices
) -> None:
    index = catalogue.memory(notices)
    await catalogue.upsert(FEED, SAIL)
    scope = await _role(catalogue)
    await _found(index, scope, catalogue)
    async with direct_connection(catalogue.database) as connection:
        await connection.execute("UPDATE servers SET name = 'Zoo' WHERE slug = 'farm'")
    await catalogue.database.execute("bump_catalogue_version", TENANT)
    feed = catalogue.ids["farm__feed_cat"]
    assert (await index.cards(scope, catalogue.space, [feed]))[feed].server == "Zoo"
    assert await index.named(scope, catalogue.space, "Zoo/feed_cat") == [feed]
    assert await index.named(scope, catalogue.space, "farm:feed_cat") == [feed]
    assert await index.named(scope, catalogue.space, "Farm/feed_cat") == []


async def test_a_change_of_a_role_holds_for_the_next_search(catalogue: IndexedCatalogue, notices: Notices) -> None:
    index = catalogue.memory(notices)
    await catalogue.upsert(FEED, COUNT, SAIL)
    role_id = await catalogue.add_role("some", "farm__feed_cat")
    scope = SearchScope(TENANT, (role_id,))
    for visible in (("farm__feed_cat",), ("sea__sail", "farm__count_cows"), (), ("farm__feed_cat", "sea__sail")):
        await catalogue.set_visible(role_id, *visible)
        assert set(await _found(index, scope, catalogue)) == set(visible)


async def test_another_process_is_followed_within_200_milliseconds(
    catalogue: IndexedCatalogue, notices: Notices, settings: Settings
) -> None:
    index = catalogue.memory(notices)
    await catalogue.upsert(FEED)
    role_id = await catalogue.add_role("some", "farm__feed_cat")
    scope = SearchScope(TENANT, (role_id,))
    await _found(index, scope, catalogue)
    took: list[float] = []
    ordinary: list[float] = []
    async with open_database(settings, size=2) as database:
        other = replace(catalogue, database=database)
        for number in range(SPEED_TRIES):
            name = f"farm__feed_dog_{number}"
            await other.upsert(CataloguedTool("farm", f"feed_dog_{number}"))
            await other.set_visible(role_id, name)
            # What it takes where it holds already says how fast this machine is at the moment.
            for seconds in (took, ordinary):
                begun = time.monotonic()
                await until(partial(_finds_only, name, index, scope, catalogue))
                seconds.append(time.monotonic() - begun)
    assert statistics.median(took) < 0.2 + 4 * statistics.median(ordinary)


async def test_without_the_listening_connection_each_search_asks_what_is_new(
    catalogue: IndexedCatalogue, settings: Settings
) -> None:
    proxy = DatabaseProxy(catalogue.database)
    async with proxy.running(), open_database(settings, size=2) as database:
        notices = Notices(proxy.database)
        async with notices.listening():
            index = catalogue.memory(notices)
            await catalogue.upsert(FEED)
            role_id = await catalogue.add_role("some", "farm__feed_cat")
            scope = SearchScope(TENANT, (role_id,))
            assert set(await _found(index, scope, catalogue)) == {"farm__feed_cat"}
            proxy.close()
            await until(lambda: not notices.connected)
            # Nothing tells this process of what another one does.
            other = replace(catalogue, database=database)
            await other.upsert(COUNT)
            for visible in (("farm__count_cows",), ("farm__count_cows", "farm__feed_cat"), ()):
                await other.set_visible(role_id, *visible)
                assert set(await _found(index, scope, catalogue)) == set(visible)


async def test_what_changes_while_an_update_is_read_is_not_lost(
    catalogue: IndexedCatalogue, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = catalogue.memory(notices)
    await catalogue.upsert(FEED)
    scope = await _role(catalogue)
    read = MemoryIndex._read_tools
    reading, changed = asyncio.Event(), asyncio.Event()

    async def slowly(*arguments: object) -> None:
        await read(*arguments)  # type: ignore[arg-type]
        reading.set()
        await changed.wait()

    monkeypatch.setattr(MemoryIndex, "_read_tools", slowly)
    first = asyncio.create_task(_found(index, scope, catalogue))
    await reading.wait()
    # Another search waits for the index to be whole, instead of reading what is there.
    second = asyncio.create_task(_found(index, scope, catalogue))
    await catalogue.upsert(COUNT)
    assert not second.done()
    changed.set()
    await asyncio.gather(first, second)
    assert set(await _found(index, scope, catalogue)) == {"farm__feed_cat", "farm__count_cows"}


async def test_a_search_that_is_given_up_does_not_stop_the_index_from_being_read(
    catalogue: IndexedCatalogue, notices: Notices
) -> None:
    index = catalogue.memory(notices)
    await catalogue.upsert(FEED)
    scope = await _role(catalogue)
    given_up = asyncio.create_task(_found(index, scope, catalogue))
    other = asyncio.create_task(_found(index, scope, catalogue))
    await asyncio.sleep(0)
    given_up.cancel()
    assert set(await other) == {"farm__feed_cat"}


async def test_a_vector_that_comes_later_counts_from_then_on(catalogue: IndexedCatalogue, notices: Notices) -> None:
    index = catalogue.memory(notices)
    await catalogue.upsert(replace(FEED, vector=None), replace(COUNT, vector=None))
    scope = await _role(catalogue)
    assert (await index.signals(scope, catalogue.space, [CAT])).cosines is None
    assumed = await index.baseline(TENANT, catalogue.space)
    await catalogue.upsert(FEED)
    cosines = (await index.signals(scope, catalogue.space, [CAT])).cosines
    assert cosines is not None
    assert np.nanmax(cosines[0]) == pytest.approx(1)
    assert np.isnan(cosines[0]).sum() == 1
    assert await index.baseline(TENANT, catalogue.space) != assumed


async def test_without_a_space_words_alone_are_measured(catalogue: IndexedCatalogue, notices: Notices) -> None:
    index = catalogue.memory(notices)
    await catalogue.upsert(FEED, SAIL)
    signals = await index.signals(await _role(catalogue), None, [ParsedQuery(("cat",), None)])
    assert signals.cosines is None
    assert sorted(signals.lexical[0].tolist())[1] > 0


async def test_the_tenant_that_was_searched_longest_ago_goes_first(
    catalogue: IndexedCatalogue, notices: Notices
) -> None:
    others = [(await create_tenant(catalogue.database, slug)).id for slug in ("two", "three")]
    await catalogue.upsert(FEED)
    for tenant_id in others:
        await catalogue.upsert(CataloguedTool(f"farm{tenant_id}", "feed_cat", "Feed the cat"), tenant_id=tenant_id)
    one_alone = catalogue.memory(notices)
    await one_alone.signals(await _role(catalogue), catalogue.space, [CAT])
    index = catalogue.memory(notices, int(one_alone.size_bytes * 2.5))
    for tenant_id in (TENANT, *others[:1], TENANT):
        await index.signals(SearchScope(tenant_id, ()), catalogue.space, [CAT])
    assert list(index.tenant_ids) == [others[0], TENANT]
    await index.signals(SearchScope(others[1], ()), catalogue.space, [CAT])
    assert list(index.tenant_ids) == [TENANT, others[1]]


async def test_tenants_without_tools_take_little_and_go_before_one_that_was_searched_later(
    catalogue: IndexedCatalogue, notices: Notices
) -> None:
    empty = [(await create_tenant(catalogue.database, f"empty-{number}")).id for number in range(8)]
    await catalogue.upsert(FEED)
    scope = await _role(catalogue)
    one_alone = catalogue.memory(notices)
    await one_alone.signals(scope, catalogue.space, [CAT])
    most = int(one_alone.size_bytes * 2.5)
    index = catalogue.memory(notices, most)
    for tenant_id in empty:
        with index.pinned(tenant_id):
            assert not len((await index.signals(SearchScope(tenant_id, ()), catalogue.space, [CAT])).tool_ids)
        with index.pinned(TENANT):
            await index.signals(scope, catalogue.space, [CAT])
        assert index.tools == 1
        assert index.size_bytes <= most
    assert empty[-1] in index.tenant_ids
    assert empty[0] not in index.tenant_ids


async def test_a_tenant_that_did_not_fit_is_known_to_when_others_go(
    catalogue: IndexedCatalogue, notices: Notices
) -> None:
    others = [(await create_tenant(catalogue.database, f"other-{number}")).id for number in range(4)]
    await catalogue.upsert(*(CataloguedTool("farm", f"feed_{n}", "cat " * 5_000) for n in range(10)))
    index = catalogue.memory(notices, 8 * 1024)
    with pytest.raises(IndexTooLargeError):
        await index.signals(await _role(catalogue), catalogue.space, [CAT])
    for tenant_id in others:
        await index.signals(SearchScope(tenant_id, ()), catalogue.space, [CAT])
    assert list(index.tenant_ids) == [TENANT, others[-1]]
    assert set(index.tenants_in_database) == {TENANT}


async def test_a_tenant_that_is_gone_leaves_nothing_in_memory(catalogue: IndexedCatalogue, notices: Notices) -> None:
    other = await create_tenant(catalogue.database, "two")
    await catalogue.upsert(CataloguedTool("farm2", "feed_cat", "Feed the cat"), tenant_id=other.id)
    index = catalogue.memory(notices)
    await index.signals(SearchScope(other.id, ()), catalogue.space, [CAT])
    assert index.tools == 1
    await delete_tenant(catalogue.database, other, other.slug)
    await until(partial(_is_gone, other.id, index, catalogue))
    assert list(index.tenant_ids) == []
    assert index.size_bytes == 0


async def _is_gone(tenant_id: int, index: MemoryIndex, catalogue: IndexedCatalogue) -> bool:
    await index.signals(SearchScope(tenant_id, ()), catalogue.space, [CAT])
    return not index.tools


async def test_a_tenant_stays_in_memory_while_it_is_searched(
    catalogue: IndexedCatalogue, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = (await create_tenant(catalogue.database, "two")).id
    await catalogue.upsert(FEED)
    await catalogue.upsert(CataloguedTool("farm2", "feed_cat", "Feed the cat"), tenant_id=other)
    one_alone = catalogue.memory(notices)
    await one_alone.signals(await _role(catalogue), catalogue.space, [CAT])
    index = catalogue.memory(notices, int(one_alone.size_bytes * 1.5))
    scopes = SearchScope(TENANT, ()), SearchScope(other, ())
    read: list[int] = []
    read_tools = MemoryIndex._read_tools

    async def counted(*arguments: object) -> None:
        read.append(arguments[2])  # type: ignore[arg-type]
        await read_tools(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(MemoryIndex, "_read_tools", counted)
    with index.pinned(TENANT):
        with index.pinned(other):
            for _ in range(3):
                for scope in scopes:
                    await index.signals(scope, catalogue.space, [CAT])
            assert read == [TENANT, other]
        # As soon as one of both is done, the bound holds again.
        assert list(index.tenant_ids) == [TENANT]
    assert index.size_bytes <= one_alone.size_bytes * 1.5


async def test_an_index_that_is_being_read_is_not_dropped_and_ends_with_all_else(
    catalogue: IndexedCatalogue, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = (await create_tenant(catalogue.database, "two")).id
    await catalogue.upsert(FEED)
    await catalogue.upsert(CataloguedTool("farm2", "feed_cat", "Feed the cat"), tenant_id=other)
    index = catalogue.memory(notices, 40_000)
    read_tools = MemoryIndex._read_tools
    reading = asyncio.Event()

    async def slowly(*arguments: object) -> None:
        await read_tools(*arguments)  # type: ignore[arg-type]
        if arguments[2] == TENANT:
            reading.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(MemoryIndex, "_read_tools", slowly)
    search = asyncio.create_task(index.signals(SearchScope(TENANT, ()), catalogue.space, [CAT]))
    await reading.wait()
    monkeypatch.setattr(index, "_max_bytes", 9_000)
    await index.signals(SearchScope(other, ()), catalogue.space, [CAT])
    assert TENANT in index.tenant_ids
    # Nor is one forgotten that a space which took over has dropped.
    await catalogue.database.execute("notify_serving_space", catalogue.space.id + 1)
    await until(lambda: not index.tenant_ids)
    await index.aclose()
    with pytest.raises(asyncio.CancelledError):
        await search


async def test_a_tenant_that_did_not_fit_comes_back_when_it_does(
    catalogue: IndexedCatalogue, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = catalogue.memory(notices, 120 * 1024)
    scope = await _role(catalogue)
    large = [CataloguedTool("farm", f"feed_{n}", "cat " * 5_000) for n in range(10)]
    await catalogue.upsert(*large)
    with pytest.raises(IndexTooLargeError):
        await index.signals(scope, catalogue.space, [CAT])
    assert set(index.tenants_in_database) == {TENANT}
    await catalogue.upsert(*(replace(tool, description="cat") for tool in large))
    # Whether it fits now is not read anew for each change.
    with pytest.raises(IndexTooLargeError):
        await index.signals(scope, catalogue.space, [CAT])
    a_minute_later = SimpleNamespace(monotonic=lambda: time.monotonic() + 61)
    monkeypatch.setattr(memory_index, "time", a_minute_later)
    monkeypatch.setattr(loaded_tenant, "time", a_minute_later)
    assert len((await index.signals(scope, catalogue.space, [CAT])).tool_ids) == 10
    assert set(index.tenants_in_database) == set()


async def test_vectors_are_counted_once_in_what_a_tool_took(catalogue: IndexedCatalogue, notices: Notices) -> None:
    index = catalogue.memory(notices, 120 * 1024)
    await catalogue.upsert(*(CataloguedTool("farm", f"feed_{n}", "cat " * 5_000) for n in range(10)))
    scope = await _role(catalogue)
    with pytest.raises(IndexTooLargeError):
        await index.signals(scope, catalogue.space, [CAT])
    loaded = index._loaded[TENANT, catalogue.space.id]
    assert loaded.bytes_per_tool() == loaded.measured_bytes_per_tool > 120 * 1024 / 10


async def test_a_space_that_took_over_leaves_no_index_of_the_former_one(
    catalogue: IndexedCatalogue, notices: Notices
) -> None:
    index = catalogue.memory(notices)
    await catalogue.upsert(FEED)
    scope = await _role(catalogue)
    await index.signals(scope, catalogue.space, [CAT])
    before = index.size_bytes
    later = StoredSpace(catalogue.space.id + 1, catalogue.space.space)
    await catalogue.database.execute("notify_serving_space", later.id)
    await until(lambda: index.size_bytes == 0)
    assert (await index.signals(scope, later, [CAT])).cosines is None
    assert 0 < index.size_bytes <= before


@pytest.mark.parametrize("mebibytes", [64, 0])
async def test_a_space_that_takes_over_is_read_before_anybody_searches_in_it(
    catalogue: IndexedCatalogue, notices: Notices, monkeypatch: pytest.MonkeyPatch, mebibytes: int
) -> None:
    index = catalogue.memory(notices)
    await catalogue.upsert(FEED)
    scope = await _role(catalogue)
    await index.signals(scope, catalogue.space, [CAT])
    # Without room for both, the former one makes room.
    monkeypatch.setattr(index, "_max_bytes", mebibytes * MIB or index.size_bytes)
    later = StoredSpace(catalogue.space.id + 1, catalogue.space.space)
    monkeypatch.setattr(FixedSpaces, "known_active_space", _answering(later))
    monkeypatch.setattr(FixedSpaces, "upcoming_space", _answering(later))
    before = list(index._loaded)
    await index.prepare(later)
    both = [*before, (TENANT, later.id)] if mebibytes else before
    assert list(index._loaded) == both
    await catalogue.database.execute("notify_serving_space", later.id)
    await until(lambda: list(index._loaded) == [(TENANT, later.id)] and index.tools == 1)


async def test_a_space_that_another_process_is_to_switch_to_is_read_beside_the_one_that_serves(
    catalogue: IndexedCatalogue, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = catalogue.memory(notices)
    await catalogue.upsert(FEED)
    await index.signals(await _role(catalogue), catalogue.space, [CAT])
    later = StoredSpace(catalogue.space.id + 1, catalogue.space.space)
    monkeypatch.setattr(FixedSpaces, "upcoming_space", _answering(later))
    await catalogue.database.execute("notify_space", later.id)
    await until(lambda: index.tools == 2)


def _answering(space: StoredSpace) -> Callable[[FixedSpaces], Awaitable[StoredSpace]]:
    async def answer(_: FixedSpaces) -> StoredSpace:
        return space

    return answer


@pytest.mark.parametrize("kilobytes", [8, 120])
async def test_a_tenant_that_does_not_fit_says_so_until_it_does(
    catalogue: IndexedCatalogue, notices: Notices, kilobytes: int
) -> None:
    # The smaller bound is exceeded by what is expected, the larger one by what the texts turn out to take.
    index = catalogue.memory(notices, kilobytes * 1024)
    await catalogue.upsert(*(CataloguedTool("farm", f"feed_{n}", "cat " * 5_000) for n in range(10)))
    scope = await _role(catalogue)
    for _ in range(2):
        with pytest.raises(IndexTooLargeError, match=r"10 tools of tenant 1 .* search\.index_mib"):
            await index.signals(scope, catalogue.space, [CAT])
    assert index.size_bytes < 8 * 1024
    assert index.size_bytes < MIB


async def test_in_a_database_that_was_dumped_from_another_a_change_is_read_alone(catalogue: IndexedCatalogue) -> None:
    await catalogue.upsert(*(CataloguedTool("one", f"tool_{number}") for number in range(3)))
    async with direct_connection(catalogue.database) as connection, connection.transaction():
        for table in ("tools", "tool_embeddings"):
            # As many transactions as that other one had begun.
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            await connection.execute(f"UPDATE {table} SET changed_in = '123456789012'")
            await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")

    async def changed_since(horizon: str) -> int:
        space = {"space": catalogue.space.id, "dimensions": DIMENSIONS}
        return len(await catalogue.database.fetch("index_tools", TENANT, 0, 100, horizon, **space))

    state = await catalogue.database.fetchrow("index_state", TENANT)
    assert state is not None
    assert await changed_since(state["horizon"]) == 0
    await catalogue.upsert(CataloguedTool("one", "tool_1", description="Otherwise"))
    assert await changed_since(state["horizon"]) == 1
    # Who has read nothing, or all of the other one, has all to read.
    assert await changed_since("0") == await changed_since("123456789000") == 3


async def test_each_part_of_a_large_catalogue_is_planned_by_its_values(
    catalogue: IndexedCatalogue, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_index, "_BATCH_SIZE", 1)
    # At the sixth execution PostgreSQL would go over to one plan for any part.
    await catalogue.upsert(*(CataloguedTool("farm", f"feed_{number}") for number in range(10)))
    index = catalogue.memory(notices)
    await index.signals(SearchScope(TENANT, ()), catalogue.space, [CAT])
    async with catalogue.database.connection() as connection:
        plans = await connection._connection.fetchrow(
            "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement LIKE $1",
            "%What the index in memory holds of each tool%",
        )
    assert plans is not None
    assert plans["custom_plans"] >= 10
    assert plans["generic_plans"] == 0
