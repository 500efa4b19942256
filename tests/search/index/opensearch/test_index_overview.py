"""What is said of the indexes in a cluster, to be seen by those who run the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.cli.doctor.parts import check_search_cluster
from gateway.components import Components, open_components
from gateway.database.pool import open_database
from gateway.embedding.embedder import EmbeddingSpace
from gateway.errors import ConflictError, NotFoundError
from gateway.search.index.index_factory import SearchCluster
from gateway.search.index.opensearch.client import OpenSearchClient, url_path
from gateway.search.index.opensearch.feed.feed_report import FeedReports
from gateway.search.index.opensearch.feed.index_feed import FeedProgress
from gateway.search.index.opensearch.index_overview import IndexOverview, open_overview
from gateway.search.index.opensearch.index_store import IndexStore
from gateway.search.index.opensearch.mapping import IndexOwner, index_body, index_name
from gateway.settings import OpenSearchSettings, Settings
from tests.support.catalogue import add_tools, direct_connection
from tests.support.serving import serving


@dataclass(frozen=True, slots=True)
class Clustered:
    """The parts of a gateway that searches in a cluster."""

    parts: Components
    cluster: SearchCluster
    overview: IndexOverview


@pytest.fixture
async def clustered(settings: Settings, opensearch: OpenSearchSettings) -> AsyncIterator[Clustered]:
    search = replace(settings.search, index="opensearch")
    async with open_components(replace(settings, search=search, opensearch=opensearch)) as parts:
        assert parts.search_cluster is not None
        await parts.spaces.active_space()
        yield Clustered(parts, parts.search_cluster, IndexOverview(parts.database, parts.search_cluster.client))


async def test_documents_and_what_is_behind_are_counted(clustered: Clustered) -> None:
    empty = await clustered.overview.view()
    assert (empty.indexes, empty.failure, empty.feed) == ((), "", None)
    await add_tools(clustered.parts.database, 1, [("git", "commit", "git"), ("git", "push", "git")])
    await clustered.cluster.feed.catch_up()
    (index,) = (await clustered.overview.view()).indexes
    space = await clustered.parts.spaces.active_space()
    assert (index.space, index.model, index.state) == (space.id, space.space.model, "serving")
    assert (index.documents, index.tools, index.progress) == (2, 2, 1.0)
    assert (index.changes_behind, index.tenants_behind) == (0, 0)
    assert index.health in ("green", "yellow")

    await add_tools(clustered.parts.database, 1, [("mail", "send", "messaging")])
    (index,) = (await clustered.overview.view()).indexes
    assert (index.documents, index.tools) == (2, 3)
    assert index.tenants_behind == 1
    assert index.changes_behind >= 1


async def test_a_rebuild_fills_a_second_index_which_takes_the_place_of_the_first(clustered: Clustered) -> None:
    await add_tools(clustered.parts.database, 1, [("git", "commit", "git")])
    await clustered.cluster.feed.catch_up()
    (before,) = (await clustered.overview.view()).indexes
    space = await clustered.overview.rebuild(None)
    assert [(each.state, each.space) for each in (await clustered.overview.view()).indexes] == [
        ("serving", space.id),
        ("filling", space.id),
    ]
    await clustered.cluster.feed.catch_up()
    (after,) = (await clustered.overview.view()).indexes
    assert after.name != before.name
    assert (after.state, after.documents) == ("serving", 1)
    with pytest.raises(NotFoundError, match="There is no space 99"):
        await clustered.overview.rebuild(99)


async def test_a_space_without_searches_gets_no_index(clustered: Clustered) -> None:
    store = clustered.parts.spaces.store
    former = await clustered.parts.spaces.active_space()
    later = await store.register(EmbeddingSpace("test", "three numbers", 3, "", ""))
    await store.activate(later.id)
    with pytest.raises(ConflictError, match=f"No searches are answered in space {former.id}"):
        await clustered.overview.rebuild(former.id)
    await store.share(former.id, 20)
    await clustered.overview.rebuild(former.id)
    assert [each.space for each in (await clustered.overview.view()).indexes] == [former.id]


async def test_an_index_that_lacks_its_shards_or_is_closed_is_shown_beside_the_others(clustered: Clustered) -> None:
    client, space = clustered.cluster.client, await clustered.parts.spaces.active_space()
    await add_tools(clustered.parts.database, 1, [("git", "commit", "git")])
    await clustered.cluster.feed.catch_up()
    lost = index_name(client.settings, space.id + 1, "lost")
    owner = IndexOwner(await clustered.parts.database.fetchval("installation_id"), space.id + 1)
    body = index_body(client.settings, owner, space, lost)
    body["settings"]["index"]["routing.allocation.require._name"] = "no such node"
    await client.request("PUT", url_path(lost), body, params={"wait_for_active_shards": "0"})

    view = await clustered.overview.view()
    assert view.failure == ""
    serving, red = view.indexes
    assert (serving.documents, serving.failure) == (1, "")
    assert (red.name, red.health) == (lost, "red")
    assert f"Shards of {lost} are not there" in red.failure
    assert f"{lost} has lost shards" in check_search_cluster(view).detail

    await client.request("DELETE", url_path(lost))
    await client.request("POST", url_path(serving.name, "_close"))
    view = await clustered.overview.view()
    assert [(each.name, "closed" in each.failure) for each in view.indexes] == [(serving.name, True)]
    assert check_search_cluster(view).state == "problem"


async def test_only_indexes_of_this_gateway_are_dropped(clustered: Clustered) -> None:
    await clustered.cluster.feed.catch_up()
    (index,) = (await clustered.overview.view()).indexes
    other = IndexStore(clustered.parts.database, clustered.cluster.client, "another")
    foreign = await other.begin(replace(await clustered.parts.spaces.active_space(), id=999))
    with pytest.raises(NotFoundError, match="no index"):
        await clustered.overview.drop(foreign.name)
    assert await clustered.overview.drop(None) == [index.name]
    assert await clustered.overview.drop(None) == []
    assert [each.name for each in await other.indexes()] == [foreign.name]


async def test_a_cluster_that_does_not_answer_is_said_to_be_so(clustered: Clustered, settings: Settings) -> None:
    closed = OpenSearchSettings(urls=("http://127.0.0.1:9",), timeout_ms=1_000)
    search = replace(settings.search, index="opensearch")
    lost = replace(settings, search=search, opensearch=closed)
    async with open_overview(clustered.parts.database, lost) as overview:
        view = await overview.view()
    assert "None of http://127.0.0.1:9 answers" in view.failure
    assert view.failure_code == "opensearch-unavailable"
    assert (view.version, view.indexes) == ("", ())
    with pytest.raises(ConflictError, match=r'search\.index is "memory"'):
        async with open_overview(clustered.parts.database, settings):
            pass


async def test_nobody_waits_for_long_for_a_cluster_that_hangs(database_url: str, settings: Settings) -> None:
    async def hang(_: Request) -> Response:
        await anyio.sleep_forever()
        raise AssertionError

    version = {"version": {"distribution": "opensearch", "number": "2.19.1"}}
    routes = [Route("/", lambda _: JSONResponse(version)), Route("/{path:path}", hang)]
    async with serving(Starlette(routes=routes)) as url, open_database(settings, size=2) as database:
        client = OpenSearchClient(OpenSearchSettings(urls=(url,)))
        view = await IndexOverview(database, client, view_seconds=0.3).view()
        await client.aclose()
    assert "did not say within 0.3 s" in view.failure
    assert view.indexes == ()


async def test_the_last_report_is_kept_and_silence_is_told(clustered: Clustered) -> None:
    reports = FeedReports(clustered.parts.database)
    await reports.write(FeedProgress(3, 1.5, "the disk is full", 7))
    await reports.write(FeedProgress(2, 2.5, "", 9))
    feed = (await clustered.overview.view()).feed
    assert feed is not None
    assert (feed.tenants_behind, feed.seconds, feed.failure, feed.written, feed.silent) == (2, 2.5, "", 9, False)
    async with direct_connection(clustered.parts.database) as connection:
        await connection.execute("UPDATE feed_reports SET reported_at = now() - interval '1 minute'")
    feed = (await clustered.overview.view()).feed
    assert feed is not None
    assert feed.silent
