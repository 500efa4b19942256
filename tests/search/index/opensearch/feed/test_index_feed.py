"""How the cluster follows the catalogue, whoever writes to it and whatever comes between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import anyio
import numpy as np
import pytest

from gateway.access.roles import create_role
from gateway.access.tenants import create_tenant
from gateway.database.notices import Notices
from gateway.embedding.embedder import EmbeddingSpace
from gateway.embedding.spaces.space_store import SpaceStore
from gateway.errors import (
    OpenSearchAliasError,
    OpenSearchError,
    OpenSearchIncompleteError,
    OpenSearchMappingError,
    OpenSearchUnavailableError,
)
from gateway.search.index.opensearch import index_store, mapping
from gateway.search.index.opensearch.client import OpenSearchClient, url_path
from gateway.search.index.opensearch.documents import document_id, tenant_key
from gateway.search.index.opensearch.feed import followed_index, index_feed, tenant_feed
from gateway.search.index.opensearch.feed.bulk_writer import BulkOperation, BulkResult, BulkWriter
from gateway.search.index.opensearch.feed.feed_state import refresh
from gateway.search.index.opensearch.feed.index_feed import FeedProgress, IndexFeed
from gateway.search.index.opensearch.feed.reconciler import Reconciler
from gateway.search.index.opensearch.feed.tenant_feed import TenantFeed
from gateway.search.index.opensearch.index_store import IndexStore, begun_index, serving_index
from gateway.search.index.opensearch.mapping import (
    IndexOwner,
    index_body,
    index_name,
    serving_alias,
    space_alias,
    write_alias,
)
from gateway.search.index.opensearch.opensearch_index import OpenSearchIndex
from gateway.search.index.tool_index import SearchScope
from gateway.search.query.parsed_query import ParsedQuery
from gateway.settings import OpenSearchSettings
from tests.support.catalogue import direct_connection
from tests.support.indexed_catalogue import TENANT, CataloguedTool, IndexedCatalogue
from tests.support.waiting import until

FEED = CataloguedTool("farm", "feed_cat", "Feed the cat")
COUNT = CataloguedTool("farm", "count_cows", "Count the cows", vector=(0.0, 1.0, 0.0, 0.0))
SAIL = CataloguedTool("sea", "sail", "Sail a boat", vector=None)
MANY = [CataloguedTool("farm", f"milk_{number}") for number in range(20)]


@dataclass
class Followed:
    """A catalogue, and what two processes would have of it: an index and two feeds."""

    catalogue: IndexedCatalogue
    notices: Notices
    client: OpenSearchClient
    index: OpenSearchIndex
    feed: IndexFeed
    other: IndexFeed
    scope: SearchScope

    async def found(self, word: str = "cat") -> dict[str, float]:
        """The names of all tools in scope as the cluster has them, with their BM25 for a word."""
        query = ParsedQuery((word,), np.array([1, 0, 0, 0], np.float32))
        signals = await self.index.signals(self.scope, self.catalogue.space, [query])
        assert signals.notice == ""
        cards = await self.index.cards(self.scope, self.catalogue.space, signals.tool_ids.tolist())
        return {
            cards[tool_id].exposed_name: score
            for tool_id, score in zip(signals.tool_ids.tolist(), signals.lexical[0].tolist(), strict=True)
            if tool_id in cards
        }

    async def name(self) -> str:
        """Of the index that serves."""
        index = serving_index(await self.feed.store.indexes(), self.catalogue.space.id)
        assert index is not None
        return index.name

    async def documents(self) -> int:
        """How many the index has."""
        name = await self.name()
        await self.client.request("POST", url_path(name, "_refresh"))
        answer = await self.client.request("GET", url_path(name, "_count"), {"query": {"exists": {"field": "tool"}}})
        return int(answer["count"])


@pytest.fixture
async def followed(
    catalogue: IndexedCatalogue, opensearch: OpenSearchSettings, client: OpenSearchClient
) -> AsyncIterator[Followed]:
    notices = Notices(catalogue.database)
    async with (
        notices.listening(),
        catalogue.opensearch(notices, opensearch) as (index, feed),
        catalogue.opensearch(notices, opensearch) as (_, other),
    ):
        async with direct_connection(catalogue.database) as connection:
            role_id = await connection.fetchval("SELECT id FROM roles WHERE tenant_id = 1 AND name = 'all'")
        scope = SearchScope(TENANT, (role_id,))
        yield Followed(catalogue, notices, client, index, feed, other, scope)


async def test_a_tool_that_comes_changes_goes_or_comes_back_is_found_as_it_is(followed: Followed) -> None:
    catalogue, feed = followed.catalogue, followed.feed
    await catalogue.upsert(FEED, COUNT, SAIL)
    await feed.catch_up()
    found = await followed.found()
    assert set(found) == {"farm__feed_cat", "farm__count_cows", "sea__sail"}
    assert found["farm__feed_cat"] > 0 == found["farm__count_cows"]
    await catalogue.upsert(replace(COUNT, description="Count the cats"))
    await catalogue.hide("farm__feed_cat")
    await feed.catch_up()
    assert set(found := await followed.found()) == {"farm__count_cows", "sea__sail"}
    assert found["farm__count_cows"] > 0
    await catalogue.upsert(FEED)
    # A row that is gone without a trace is found by the number of those that are left.
    await catalogue.remove_server("sea")
    await feed.catch_up()
    assert set(await followed.found()) == {"farm__count_cows", "farm__feed_cat"}
    assert await followed.documents() == 2


async def test_what_was_interrupted_goes_on_where_it_was_with_another_process(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant_feed, "BATCH_SIZE", 5)
    await followed.catalogue.upsert(*MANY)
    write, batches = BulkWriter.write, 0

    async def fail_after_two(writer: BulkWriter, operations: list[BulkOperation]) -> BulkResult:
        nonlocal batches
        batches += 1
        if batches > 2:
            raise OpenSearchUnavailableError("The node was stopped", "start it")
        return await write(writer, operations)

    with monkeypatch.context() as failing:
        failing.setattr(BulkWriter, "write", fail_after_two)
        with pytest.raises(OpenSearchUnavailableError):
            await followed.feed.catch_up()
    changed = replace(MANY[0], description="Give the milk to the cat")
    await followed.catalogue.upsert(changed)
    written: list[str] = []

    async def note(writer: BulkWriter, operations: list[BulkOperation]) -> BulkResult:
        written.extend(operation.id for operation in operations)
        return await write(writer, operations)

    monkeypatch.setattr(BulkWriter, "write", note)
    await followed.other.catch_up()
    await followed.other.catch_up()
    found = await followed.found()
    assert len(found) == len(MANY)
    assert found[changed.exposed_name] > 0
    ids = [document_id(TENANT, tool_id) for tool_id in followed.catalogue.ids.values()]
    # Ten were written by the first; of those only what changed since was written again.
    assert sorted(id_ for id_ in set(written) if id_ in ids) == sorted([ids[0], *ids[10:]])


async def test_two_processes_that_write_at_once_leave_what_is_there(followed: Followed) -> None:
    await followed.catalogue.upsert(*MANY)
    await followed.feed.catch_up()
    for round_ in range(3):
        await followed.catalogue.upsert(*(replace(tool, description=f"cat {round_}") for tool in MANY[round_::3]))
        await asyncio.gather(followed.feed.catch_up(), followed.other.catch_up())
    await followed.feed.catch_up()
    assert len(await followed.found()) == len(MANY)
    assert all(score > 0 for score in (await followed.found()).values())


async def test_whoever_takes_over_follows_within_moments(followed: Followed) -> None:
    await followed.catalogue.upsert(FEED)
    first = asyncio.create_task(followed.feed.run())
    await until(lambda: _finds(followed, {"farm__feed_cat"}))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await followed.catalogue.upsert(COUNT)
    second = asyncio.create_task(followed.other.run())
    try:
        await until(lambda: _finds(followed, {"farm__feed_cat", "farm__count_cows"}))
        progress = followed.other.progress
        assert (progress.tenants, progress.failure) == (0, "")
        assert progress.written > 0
    finally:
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)


async def test_a_change_after_a_quiet_moment_is_written_at_once(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What comes within this of the last write waits for the rest of it.
    monkeypatch.setattr(index_feed, "_PACE_SECONDS", 3_600.0)
    feed, look, looks = followed.feed, followed.feed._look, []
    await followed.catalogue.upsert(FEED)
    await feed.catch_up()

    async def counted() -> Any:
        looks.append(await look())
        return looks[-1]

    monkeypatch.setattr(feed, "_look", counted)
    following = asyncio.create_task(feed.run())
    try:
        await until(lambda: bool(looks))
        await followed.catalogue.upsert(COUNT)
        await until(lambda: _finds(followed, {"farm__feed_cat", "farm__count_cows"}))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _finds(followed: Followed, names: set[str]) -> bool:
    try:
        return set(await followed.found()) == names
    except AssertionError:
        return False


async def test_documents_that_somebody_changed_added_or_deleted_are_mended(followed: Followed) -> None:
    await followed.catalogue.upsert(*MANY)
    await followed.feed.catch_up()
    name, database = await followed.name(), followed.catalogue.database
    deleted, changed, *_ = followed.catalogue.ids.values()
    installation = await database.fetchval("installation_id")
    alien = {"tenant": tenant_key(installation, TENANT), "tool": 10**9, "server": 1, "bucket": 3, "checksum": 7}
    await BulkWriter(followed.client, name).write([BulkOperation(document_id(TENANT, 10**9), str(TENANT), 1, alien)])
    routing = {"routing": str(TENANT)}
    await followed.client.request("DELETE", url_path(name, "_doc", document_id(TENANT, deleted)), params=routing)
    await followed.client.request("POST", url_path(name, "_refresh"))
    script = {"query": {"term": {"tool": changed}}, "script": {"source": "ctx._source.checksum = 1"}}
    await followed.client.request("POST", url_path(name, "_update_by_query"), script, params={"refresh": "true"})
    # Their number is what it was, and the vector of the one that was written anew is gone.
    assert await followed.documents() == len(MANY)
    feed = TenantFeed(database, followed.client, installation, followed.catalogue.space, name)
    reconciler = Reconciler(database, followed.client, installation, followed.catalogue.space, name, feed)
    assert await reconciler.mend(TENANT) == 3
    assert await followed.documents() == len(MANY)
    assert await reconciler.mend(TENANT) == 0
    assert len(await followed.found()) == len(MANY)


async def test_an_index_that_is_built_anew_takes_the_place_of_the_one_that_answered_meanwhile(
    followed: Followed,
) -> None:
    await followed.catalogue.upsert(FEED, COUNT)
    await followed.feed.catch_up()
    former = await followed.name()
    await followed.feed.rebuild(followed.catalogue.space)
    begun = begun_index(await followed.feed.store.indexes(), followed.catalogue.space.id)
    assert begun is not None
    assert await followed.name() == former
    assert len(await followed.found()) == 2
    await followed.other.catch_up()
    assert await followed.name() == begun.name
    assert [index.name for index in await followed.feed.store.indexes()] == [begun.name]
    assert len(await followed.found()) == 2


async def test_an_index_that_was_replaced_and_is_not_deleted_yet_takes_no_place_again(followed: Followed) -> None:
    await followed.catalogue.upsert(FEED, COUNT)
    await followed.feed.catch_up()
    former = await followed.name()
    await followed.feed.rebuild(followed.catalogue.space)
    await followed.feed.catch_up()
    later = await followed.name()
    # As whoever was ended between the two leaves it.
    client, settings = followed.client, followed.client.settings
    owner = IndexOwner(await followed.catalogue.database.fetchval("installation_id"), followed.catalogue.space.id)
    await client.request("PUT", url_path(former), index_body(settings, owner, followed.catalogue.space, former))
    await followed.other.catch_up()
    assert [index.name for index in await followed.feed.store.indexes()] == [later]
    assert len(await followed.found()) == 2


async def test_an_index_that_cannot_be_deleted_holds_up_nothing(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await followed.catalogue.upsert(FEED)
    await followed.feed.catch_up()
    former, drop = await followed.name(), IndexStore.drop
    is_running = True

    async def drop_after_the_snapshot(store: IndexStore, name: str) -> None:
        if is_running:
            raise OpenSearchError("OpenSearch refused DELETE (snapshot_in_progress_exception)", "wait for it")
        await drop(store, name)

    monkeypatch.setattr(IndexStore, "drop", drop_after_the_snapshot)
    await followed.feed.rebuild(followed.catalogue.space)
    await followed.feed.catch_up()
    later = await followed.name()
    assert later != former
    await followed.catalogue.upsert(COUNT)
    await followed.feed.catch_up()
    await followed.other.catch_up()
    assert await followed.name() == later
    assert len(await followed.found()) == 2
    said = [record for record in caplog.records if "snapshot_in_progress_exception" in record.message]
    # By each of the two.
    assert len(said) == 2
    is_running = False
    await followed.feed.catch_up()
    assert [index.name for index in await followed.feed.store.indexes()] == [later]


async def test_a_closed_index_is_replaced_by_one_that_is_built_anew(followed: Followed) -> None:
    await followed.catalogue.upsert(FEED, COUNT)
    await followed.feed.catch_up()
    closed = await followed.name()
    await followed.client.request("POST", url_path(closed, "_close"))
    with pytest.raises(OpenSearchIncompleteError, match="closed"):
        await followed.feed.catch_up()
    assert await followed.name() == closed
    await followed.feed.rebuild(followed.catalogue.space)
    await followed.feed.catch_up()
    (index,) = await followed.feed.store.indexes()
    assert index.is_serving
    assert index.name != closed
    assert len(await followed.found()) == 2


async def test_of_an_alias_that_leads_to_two_indexes_the_later_one_is_left(followed: Followed) -> None:
    await followed.catalogue.upsert(FEED, COUNT)
    await followed.feed.catch_up()
    serving, client, settings = await followed.name(), followed.client, followed.client.settings
    alias = space_alias(settings, followed.catalogue.space.id)
    owner = IndexOwner(await followed.catalogue.database.fetchval("installation_id"), followed.catalogue.space.id)
    body = index_body(settings, owner, followed.catalogue.space, serving)
    body["aliases"] |= {alias: {}, serving_alias(settings): {}}
    # As from a snapshot, with the aliases of the one that it was made of.
    copy = f"{settings.index_prefix}-restored"
    await client.request("PUT", url_path(copy), body)
    other = index_name(settings, owner.space_id, "other")
    body = index_body(settings, owner, followed.catalogue.space, other)
    body["aliases"] |= {alias: {}}
    await client.request("PUT", url_path(other), body)
    await followed.catalogue.upsert(SAIL)
    await followed.feed.catch_up()
    assert await client.request("GET", url_path("_alias", alias)) == {serving: {"aliases": {alias: {}}}}
    assert len(await followed.found()) == 3
    # Whoever has restored it may want it for something else.
    assert (await client.request("GET", url_path(copy)))[copy]["aliases"] == {}
    assert [index.name for index in await followed.feed.store.indexes()] == [serving]


async def test_a_name_for_others_that_is_somebody_elses_is_said_once_and_holds_up_nothing(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    alias = serving_alias(followed.client.settings)
    await followed.client.request("PUT", url_path(f"{alias}-of-others"), {"aliases": {alias: {}}})
    await followed.catalogue.upsert(FEED)
    await followed.feed.catch_up()
    await followed.feed.rebuild(followed.catalogue.space)
    await followed.feed.catch_up()
    assert len(await followed.feed.store.indexes()) == 1
    assert followed.feed.progress.failure == ""
    assert set(await followed.found()) == {"farm__feed_cat"}
    assert len([record for record in caplog.records if f"The name {alias} belongs to" in record.message]) == 1


async def test_of_processes_that_begin_an_index_at_once_one_does(followed: Followed) -> None:
    catalogue, space = followed.catalogue, followed.catalogue.space
    await catalogue.upsert(FEED)
    stores = [followed.feed.store, followed.other.store, followed.other.store]
    first, *others = [index.name for index in await asyncio.gather(*(store.begin(space) for store in stores))]
    assert others == [first, first]
    await asyncio.gather(followed.feed.catch_up(), followed.other.catch_up())
    assert [index.name for index in await followed.feed.store.indexes()] == [first]
    # Whoever has seen that none serves, and comes when one does, builds no other one.
    assert (await followed.other.store.begin(space)).name == first
    await asyncio.gather(followed.feed.rebuild(space), followed.other.rebuild(space), followed.other.rebuild(space))
    assert len(await followed.feed.store.indexes()) == 2
    await followed.feed.catch_up()
    (index,) = await followed.feed.store.indexes()
    assert index.is_serving
    assert index.name != first
    assert set(await followed.found()) == {"farm__feed_cat"}


async def test_a_change_of_model_fills_an_index_beside_the_serving_one_and_moves_the_alias(
    followed: Followed, opensearch: OpenSearchSettings
) -> None:
    catalogue, store = followed.catalogue, SpaceStore(followed.catalogue.database)
    await catalogue.upsert(FEED, COUNT)
    await followed.feed.catch_up()
    old = await followed.name()
    space = await store.register(EmbeddingSpace("test", "three numbers", 3, "", ""))
    ready = asyncio.create_task(followed.index.prepare(space))
    await followed.feed.catch_up()
    await ready
    indexes = await followed.feed.store.indexes()
    new = serving_index(indexes, space.id)
    assert new is not None
    assert {index.name: serving_alias(opensearch) in index.aliases for index in indexes} == {old: True, new.name: False}
    await store.activate(space.id)
    await followed.feed.catch_up()
    (index,) = await followed.feed.store.indexes()
    assert index.name == new.name
    assert serving_alias(opensearch) in index.aliases


async def test_a_former_space_has_an_index_while_searches_are_answered_in_it(followed: Followed) -> None:
    catalogue, store = followed.catalogue, SpaceStore(followed.catalogue.database)
    await catalogue.upsert(FEED)
    later = await store.register(EmbeddingSpace("test", "three numbers", 3, "", ""))

    async def spaces() -> set[int]:
        await followed.feed.catch_up()
        return {index.owner.space_id for index in await followed.feed.store.indexes() if index.is_serving}

    await store.set_standby(catalogue.space.id)
    await store.activate(later.id)
    assert await spaces() == {catalogue.space.id, later.id}
    await store.set_standby(None)
    assert await spaces() == {later.id}
    await store.share(catalogue.space.id, 20)
    assert await spaces() == {catalogue.space.id, later.id}
    await store.share(later.id, 0)
    assert await spaces() == {later.id}
    await store.reinstate(catalogue.space.id)
    assert await spaces() == {catalogue.space.id, later.id}


async def test_an_index_that_an_older_version_laid_out_gives_way(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await followed.catalogue.upsert(FEED)
    await followed.feed.catch_up()
    old = await followed.name()
    newer = mapping.MAPPING_VERSION + 1
    for module in (mapping, index_store):
        monkeypatch.setattr(module, "MAPPING_VERSION", newer)
    monkeypatch.setattr(IndexOwner.__init__, "__defaults__", (newer, 0, 0))
    await followed.other.catch_up()
    (index,) = await followed.feed.store.indexes()
    assert index.name != old
    assert set(await followed.found()) == {"farm__feed_cat"}


async def test_a_tenant_that_is_gone_leaves_nothing_and_others_are_not_touched(followed: Followed) -> None:
    database = followed.catalogue.database
    tenant = await create_tenant(database, "other", "Other")
    await followed.catalogue.upsert(FEED)
    others = replace(SAIL, server="lake")
    await followed.catalogue.upsert(others, tenant_id=tenant.id)
    await followed.feed.catch_up()
    assert await followed.documents() == 2
    assert set(await followed.found()) == {"farm__feed_cat"}
    async with direct_connection(database) as connection:
        await connection.execute("DELETE FROM tenants WHERE id = $1", tenant.id)
    await followed.feed.catch_up()
    assert await followed.documents() == 1


async def test_a_database_from_a_backup_has_the_index_built_anew(followed: Followed) -> None:
    await followed.catalogue.upsert(FEED, COUNT)
    await followed.feed.catch_up()
    former = await followed.name()
    async with direct_connection(followed.catalogue.database) as connection:
        await connection.execute("UPDATE tenants SET catalogue_version = catalogue_version - 1")
    await followed.feed.catch_up()
    assert await followed.name() != former
    assert len(await followed.found()) == 2


async def test_a_copy_of_the_database_leaves_the_index_of_the_original_alone_until_that_is_gone(
    followed: Followed, opensearch: OpenSearchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_feed, "_BEAT_SECONDS", 0.0)
    catalogue, original = followed.catalogue, followed.feed
    await catalogue.upsert(FEED)
    await original.catch_up()
    name = await followed.name()
    async with direct_connection(catalogue.database) as connection:
        # As it stands in one that was made of a dump: it names the database that the dump was made of.
        await connection.execute("UPDATE installation SET database = database || '-original'")
    query = ParsedQuery(("cat",), np.array([1, 0, 0, 0], np.float32))
    async with catalogue.opensearch(followed.notices, opensearch) as (index, copy):
        monkeypatch.setattr(index_store, "_SILENT_SECONDS", 0.0)
        for _ in range(3):
            await original.catch_up()
            with pytest.raises(OpenSearchAliasError, match="of the database that this one is a copy of"):
                await copy.catch_up()
        signals = await index.signals(followed.scope, catalogue.space, [query])
        assert "PostgreSQL does" in signals.notice
        assert await followed.name() == name
        assert set(await followed.found()) == {"farm__feed_cat"}

        async def is_taken_over() -> bool:
            with contextlib.suppress(OpenSearchAliasError):
                await copy.catch_up()
                return True
            return False

        await until(is_taken_over)
        assert [each.is_serving for each in await copy.store.indexes()] == [True]
        assert await original.store.indexes() == []

        async def is_answered() -> bool:
            return not (await index.signals(followed.scope, catalogue.space, [query])).notice

        await until(is_answered)
        # The one that comes back does not destroy it.
        with pytest.raises(OpenSearchAliasError, match="which is not this gateway's"):
            await original.catch_up()
        assert len(await copy.store.indexes()) == 1


async def test_a_tenant_that_is_not_written_yet_keeps_no_other_from_the_cluster(followed: Followed) -> None:
    database = followed.catalogue.database
    await followed.catalogue.upsert(FEED)
    await followed.feed.catch_up()
    tenant = await create_tenant(database, "other", "Other")
    await followed.catalogue.upsert(replace(SAIL, server="lake"), tenant_id=tenant.id)
    role_id = (await create_role(database, tenant.id, "every", "SEARCH")).id
    theirs = SearchScope(tenant.id, (role_id,))
    query = ParsedQuery(("boat",), None)
    early = await followed.index.signals(theirs, followed.catalogue.space, [query])
    assert "Of 1 tools 0 are in the search cluster yet" in early.notice
    assert early.tool_ids.tolist() == [followed.catalogue.ids["lake__sail"]]
    assert set(await followed.found()) == {"farm__feed_cat"}
    await followed.feed.catch_up()
    signals = await followed.index.signals(theirs, followed.catalogue.space, [query])
    assert (signals.notice, signals.tool_ids.tolist()) == ("", [followed.catalogue.ids["lake__sail"]])


async def _refuse(writer: BulkWriter, operations: Sequence[BulkOperation]) -> BulkResult:
    raise OpenSearchUnavailableError("The node was stopped", "start it")


async def test_nothing_stays_behind_that_is_gone(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue, feed = followed.catalogue, followed.feed
    await catalogue.upsert(FEED)
    await feed.catch_up()
    written = feed.progress.written
    await catalogue.upsert(COUNT)
    with monkeypatch.context() as refusing:
        refusing.setattr(BulkWriter, "write", _refuse)
        with pytest.raises(OpenSearchUnavailableError):
            await feed.catch_up()
    assert (feed.progress.tenants, feed.progress.written) == (1, written)
    assert feed.progress.seconds > 0
    await followed.client.request("DELETE", url_path(await followed.name()))
    await feed.catch_up()
    assert (feed.progress.tenants, feed.progress.seconds) == (0, 0)
    assert feed.progress.written > written


async def test_of_a_process_that_leads_no_more_nothing_is_behind(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await followed.catalogue.upsert(FEED)
    monkeypatch.setattr(BulkWriter, "write", _refuse)
    following = asyncio.create_task(followed.feed.run())
    await until(lambda: bool(followed.feed.progress.failure))
    assert followed.feed.progress.tenants == 1
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert followed.feed.progress == FeedProgress()


async def test_a_tenant_that_goes_while_it_is_written_leaves_nothing(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant_feed, "BATCH_SIZE", 5)
    database = followed.catalogue.database
    await followed.catalogue.upsert(FEED)
    tenant = await create_tenant(database, "other", "Other")
    await followed.catalogue.upsert(*(replace(tool, server="lake") for tool in MANY), tenant_id=tenant.id)
    write, batches = BulkWriter.write, 0

    async def delete_after_two(writer: BulkWriter, operations: list[BulkOperation]) -> BulkResult:
        nonlocal batches
        result = await write(writer, operations)
        batches += operations[0].routing == str(tenant.id)
        if batches == 2:
            async with direct_connection(database) as connection:
                await connection.execute("DELETE FROM tenants WHERE id = $1", tenant.id)
        return result

    monkeypatch.setattr(BulkWriter, "write", delete_after_two)
    await followed.feed.catch_up()
    assert batches == 2
    assert await followed.documents() == 1
    assert followed.feed.progress.tenants == 0


async def test_one_document_that_the_cluster_does_not_take_keeps_no_other_from_it(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue, feed = followed.catalogue, followed.feed
    monkeypatch.setattr(tenant_feed, "BATCH_SIZE", 1)
    await catalogue.upsert(FEED, COUNT)
    write = BulkWriter.write

    async def lay_out_otherwise(writer: BulkWriter, operations: list[BulkOperation]) -> BulkResult:
        for operation in operations:
            if operation.body is not None and operation.body.get("name") == FEED.exposed_name:
                operation.body["tool"] = "not a number"
        return await write(writer, operations)

    with monkeypatch.context() as refusing:
        refusing.setattr(BulkWriter, "write", lay_out_otherwise)
        with pytest.raises(OpenSearchMappingError):
            await feed.catch_up()
        assert set(await followed.found()) == {"farm__count_cows"}
        await catalogue.upsert(SAIL)
        # It is said for as long as the document is missing.
        for _ in range(2):
            with pytest.raises(OpenSearchMappingError):
                await feed.catch_up()
        assert set(await followed.found()) == {"farm__count_cows", "sea__sail"}
        former = await followed.name()
        await feed.rebuild(catalogue.space)
        with pytest.raises(OpenSearchMappingError):
            await feed.catch_up()
        assert await followed.name() != former
    monkeypatch.setattr(followed_index, "_COMPARE_SECONDS", 0.0)
    await catalogue.upsert(SAIL)

    async def is_mended() -> bool:
        await feed.catch_up()
        return await followed.documents() == 3

    await until(is_mended)
    assert len(await followed.found()) == 3


async def test_an_index_that_takes_no_document_replaces_none(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await followed.catalogue.upsert(FEED)
    await followed.feed.catch_up()
    former, write = await followed.name(), BulkWriter.write

    async def lay_out_otherwise(writer: BulkWriter, operations: list[BulkOperation]) -> BulkResult:
        for operation in operations:
            if operation.body is not None and "tool" in operation.body:
                operation.body["tool"] = "not a number"
        return await write(writer, operations)

    monkeypatch.setattr(BulkWriter, "write", lay_out_otherwise)
    await followed.feed.rebuild(followed.catalogue.space)
    for _ in range(2):
        with pytest.raises(OpenSearchMappingError):
            await followed.feed.catch_up()
    assert await followed.name() == former
    assert set(await followed.found()) == {"farm__feed_cat"}


async def test_an_index_is_compared_while_another_one_cannot_be_made(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = followed.catalogue
    for name in ("_COMPARE_SECONDS", "_COMPARE_ALL_SECONDS"):
        monkeypatch.setattr(followed_index, name, 3.0)
    following = asyncio.create_task(followed.feed.run())
    try:
        await catalogue.upsert(FEED, COUNT)
        await until(lambda: _finds(followed, {"farm__feed_cat", "farm__count_cows"}))
        monkeypatch.setattr(index_store, "MAX_DIMENSIONS", 2)
        await SpaceStore(catalogue.database).register(EmbeddingSpace("test", "three numbers", 3, "", ""))
        await until(lambda: "OpenSearch takes 2" in followed.feed.progress.failure)
        lost = url_path(await followed.name(), "_doc", document_id(TENANT, catalogue.ids["farm__feed_cat"]))
        await followed.client.request("DELETE", lost, params={"routing": str(TENANT), "refresh": "true"})

        async def is_mended() -> bool:
            return await followed.documents() == 2

        assert not await is_mended()
        await until(is_mended, 60)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


@pytest.mark.parametrize("is_built_anew", [False, True])
async def test_what_changed_a_little_does_not_wait_for_what_changed_much(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, is_built_anew: bool
) -> None:
    catalogue, feed = followed.catalogue, followed.feed
    monkeypatch.setattr(tenant_feed, "BATCH_SIZE", 5)
    monkeypatch.setattr(index_feed, "_TURN_SECONDS", 0.0)
    await catalogue.upsert(FEED)
    tenant = await create_tenant(catalogue.database, "other", "Other")
    large = [replace(tool, server="lake") for tool in MANY]
    if is_built_anew:
        await catalogue.upsert(*large, tenant_id=tenant.id)
    await feed.catch_up()
    serving = await followed.name()
    if is_built_anew:
        await feed.rebuild(catalogue.space)
    else:
        await catalogue.upsert(*large, tenant_id=tenant.id)
    write = BulkWriter.write
    written: list[tuple[str, str]] = []

    async def change_meanwhile(writer: BulkWriter, operations: list[BulkOperation]) -> BulkResult:
        written.append((writer._index, operations[0].routing))
        if len(written) == 2:
            await catalogue.upsert(replace(FEED, description="Feed the dog"))
        return await write(writer, operations)

    monkeypatch.setattr(BulkWriter, "write", change_meanwhile)
    await feed.catch_up()
    changed = written.index((write_alias(serving), str(TENANT)), 2)
    assert len(written) > changed + 2
    assert (await followed.found("dog"))["farm__feed_cat"] > 0


async def test_a_shard_that_is_lost_keeps_no_tenant_of_another_one_from_the_cluster(
    catalogue: IndexedCatalogue, opensearch: OpenSearchSettings, client: OpenSearchClient
) -> None:
    settings, notices = replace(opensearch, shards=2), Notices(catalogue.database)
    async with (
        catalogue.opensearch(notices, settings) as (_, feed),
        catalogue.opensearch(notices, settings) as (_, other),
    ):
        name = index_name(settings, catalogue.space.id, "1")
        owner = IndexOwner(await catalogue.database.fetchval("installation_id"), catalogue.space.id)
        body = index_body(settings, owner, catalogue.space, name)
        body["aliases"][space_alias(settings, catalogue.space.id)] = {}
        # There is one node, and so one of the two shards is left out.
        body["settings"]["index"]["routing.allocation.total_shards_per_node"] = 1
        await client.request("PUT", url_path(name), body, params={"wait_for_active_shards": "0"})
        tenant_ids = [TENANT]
        while len(tenants := await _tenants_of_shards(client, tenant_ids)) < 2:
            tenant_ids.append((await create_tenant(catalogue.database, f"other{len(tenant_ids)}", "Other")).id)
        shards = await client.request("GET", url_path("_cat", "shards", name), params={"format": "json"})
        (lost,) = [tenants[int(each["shard"])] for each in shards if each["state"] == "UNASSIGNED"]
        (there,) = set(tenants.values()) - {lost}

        async def written(tenant_id: int, *servers: str) -> bool:
            ids = [document_id(tenant_id, catalogue.ids[f"{server}__feed_cat"]) for server in servers]
            wanted = {"docs": [{"_id": id_, "routing": str(tenant_id)} for id_ in ids]}
            answer = await client.request("POST", url_path(name, "_mget"), wanted)
            return all(document.get("found") for document in answer["docs"])

        for number, writer in enumerate((feed, other, feed), 1):
            await catalogue.upsert(replace(FEED, server=f"lost{number}"), tenant_id=lost)
            await catalogue.upsert(replace(FEED, server=f"there{number}"), tenant_id=there)
            with pytest.raises(OpenSearchIncompleteError):
                await writer.catch_up()
            assert await written(there, f"there{number}")
            assert writer.progress.tenants >= 1
        spread = {"index.routing.allocation.total_shards_per_node": None}
        await client.request("PUT", url_path(name, "_settings"), spread)

        async def is_mended() -> bool:
            with contextlib.suppress(OpenSearchIncompleteError):
                await other.catch_up()
                return await written(lost, "lost1", "lost2", "lost3")
            return False

        await until(is_mended, 60)
        assert other.progress.tenants == 0


async def test_an_index_that_was_deleted_a_moment_ago_is_not_waited_for(client: OpenSearchClient) -> None:
    with anyio.fail_after(15), pytest.raises(OpenSearchError):
        await refresh(client, f"{client.settings.index_prefix}-gone")


async def _tenants_of_shards(client: OpenSearchClient, tenant_ids: Sequence[int]) -> dict[int, int]:
    """A tenant for each of two shards, by its number, where there is one."""
    probe = f"{client.settings.index_prefix}-probe"
    settings = {"index": {"number_of_shards": 2, "number_of_replicas": 0}}
    await client.request("PUT", url_path(probe), {"settings": settings})
    found = {}
    for tenant_id in tenant_ids:
        routing = {"routing": str(tenant_id)}
        ((shard,),) = (await client.request("GET", url_path(probe, "_search_shards"), params=routing))["shards"]
        found[int(shard["shard"])] = tenant_id
    await client.request("DELETE", url_path(probe))
    return found
