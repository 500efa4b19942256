"""What goes wrong in the cluster is named, PostgreSQL answers meanwhile and says so, and it mends by itself."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.access.roles import create_role
from gateway.access.tenants import create_tenant
from gateway.circuit_breaker import CircuitBreaker
from gateway.database.notices import Notices
from gateway.errors import (
    OpenSearchAliasError,
    OpenSearchBusyError,
    OpenSearchCertificateError,
    OpenSearchCredentialsError,
    OpenSearchDiskFullError,
    OpenSearchMappingError,
    OpenSearchVersionError,
)
from gateway.search.index.opensearch import fault_watch, opensearch_index
from gateway.search.index.opensearch.client import OpenSearchClient, url_path
from gateway.search.index.opensearch.documents import document_id
from gateway.search.index.opensearch.failures import failure_of_item
from gateway.search.index.opensearch.feed import bulk_writer
from gateway.search.index.opensearch.feed.index_feed import IndexFeed
from gateway.search.index.opensearch.mapping import IndexOwner, index_body, index_name, space_alias
from gateway.search.index.opensearch.opensearch_index import OpenSearchIndex
from gateway.search.index.tool_index import SearchScope
from gateway.search.query.parsed_query import ParsedQuery
from gateway.settings import OpenSearchSettings
from tests.opensearch.proxy import Answer, ClusterProxy
from tests.support.indexed_catalogue import TENANT, CataloguedTool, IndexedCatalogue
from tests.support.waiting import until
from tests.upstream.http.tls import made, pem

FEED = CataloguedTool("farm", "feed_cat", "Feed the cat")
COUNT = CataloguedTool("farm", "count_cows", "Count the cows", vector=(0.0, 1.0, 0.0, 0.0))
CAT, DOG = (ParsedQuery((word,), np.array([1, 0, 0, 0], np.float32)) for word in ("cat", "dog"))


@dataclass
class Indexed:
    """A catalogue of two tools in the cluster, behind a proxy."""

    catalogue: IndexedCatalogue
    settings: OpenSearchSettings
    proxy: ClusterProxy
    client: OpenSearchClient
    index: OpenSearchIndex
    feed: IndexFeed
    scope: SearchScope

    async def notice(self) -> str:
        """That of a search, which finds both tools in any case."""
        signals = await self.index.signals(self.scope, self.catalogue.space, [CAT])
        assert set(signals.tool_ids.tolist()) == set(self.catalogue.ids.values())
        return signals.notice

    async def is_mended(self) -> bool:
        """Whether the cluster answers."""
        return not await self.notice()


class Pauses:
    """Those that the cluster is left alone for: they last until they are ended here."""

    def __init__(self) -> None:
        self._ended = 0

    def breaker(self, max_failures: int, pause_seconds: float) -> CircuitBreaker:
        return CircuitBreaker(max_failures, 1, clock=lambda: self._ended)

    def end(self) -> None:
        self._ended += 1


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    """For what is made after it."""
    pauses = Pauses()
    monkeypatch.setattr(fault_watch, "CircuitBreaker", pauses.breaker)
    return pauses


@pytest.fixture
async def indexed(
    catalogue: IndexedCatalogue, opensearch: OpenSearchSettings, client: OpenSearchClient
) -> AsyncIterator[Indexed]:
    proxy = ClusterProxy(opensearch.urls[0])
    async with proxy.running() as url:
        settings = replace(opensearch, urls=(url,))
        async with catalogue.opensearch(Notices(catalogue.database), settings) as (index, feed):
            await catalogue.upsert(FEED, COUNT)
            scope = SearchScope(TENANT, (await catalogue.add_role("some", *catalogue.ids),))
            await feed.catch_up()
            found = Indexed(catalogue, settings, proxy, client, index, feed, scope)
            assert await found.notice() == ""
            yield found


def _timed_out(method: str, path: str, answer: Answer) -> Answer:
    for response in answer[1]["responses"] if path == "/_msearch" else ():
        response["timed_out"] = True
    return answer


def _lost_shard(method: str, path: str, answer: Answer) -> Answer:
    for response in answer[1]["responses"] if path == "/_msearch" else ():
        response["_shards"] = {"total": 2, "successful": 1, "failed": 1, "skipped": 0}
    return answer


def _busy(method: str, path: str, answer: Answer) -> Answer:
    return 429, _error("rejected_execution_exception", "rejected execution of task")


def _odd(method: str, path: str, answer: Answer) -> Answer:
    error = _error("query_shard_exception", "failed to create query: field [words] is not a rank_features field")
    return 200, {"took": 1, "responses": [{"error": error["error"], "status": 400} for _ in range(8)]}


def _red(method: str, path: str, answer: Answer) -> Answer:
    return 503, _error("no_shard_available_action_exception", "")


def _unknown(method: str, path: str, answer: Answer) -> Answer:
    return 401, {"error": "Unauthorized", "status": 401}


def _not_allowed(method: str, path: str, answer: Answer) -> Answer:
    return 403, _error("security_exception", "no permissions for [indices:data/read/msearch]")


def _no_manager(method: str, path: str, answer: Answer) -> Answer:
    return 503, _error("cluster_block_exception", "blocked by: [SERVICE_UNAVAILABLE/2/no cluster-manager];")


def _broken(method: str, path: str, answer: Answer) -> Answer:
    return 500, "<html>"


def _item_busy(method: str, path: str, answer: Answer) -> Answer:
    error = _error("opensearch_rejected_execution_exception", "queue is full")["error"]
    return 200, {"took": 1, "responses": [{"error": error, "status": 429} for _ in range(8)]}


def _error(kind: str, reason: str) -> dict[str, Any]:
    return {"error": {"type": kind, "reason": reason, "root_cause": []}, "status": 0}


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (_timed_out, "did not answer in time"),
        (_lost_shard, "1 of 2 shards"),
        (_busy, "too much to do"),
        (_item_busy, "too much to do"),
        (_red, "Shards of an index are not available"),
        (_no_manager, "OpenSearch holds back"),
        (_unknown, "does not let the gateway"),
        (_not_allowed, "no permissions for"),
        (_broken, "what is no answer of OpenSearch's"),
    ],
)
async def test_a_cluster_that_fails_is_named_and_asked_again_a_moment_later(
    pauses: Pauses, indexed: Indexed, alter: Any, said: str
) -> None:
    indexed.proxy.alter = alter
    assert said in await indexed.notice()
    # It is left alone meanwhile.
    asked = len(indexed.proxy.requests)
    assert said in await indexed.notice()
    assert len(indexed.proxy.requests) == asked
    indexed.proxy.alter = None
    pauses.end()
    assert await indexed.notice() == ""


def _lacking(method: str, path: str, answer: Answer) -> Answer:
    for response in answer[1]["responses"] if path == "/_msearch" else ():
        response.pop("aggregations", None)
    return answer


async def test_an_answer_without_its_parts_is_named(pauses: Pauses, indexed: Indexed) -> None:
    indexed.proxy.alter = _lacking
    assert "what is no answer of OpenSearch's (KeyError)" in await indexed.notice()
    indexed.proxy.alter = None
    pauses.end()
    assert await indexed.notice() == ""


@pytest.mark.parametrize(
    ("alter", "concerns_all"), [(_lost_shard, False), (_timed_out, False), (_odd, False), (_busy, True)]
)
async def test_what_concerns_one_tenant_leaves_the_searches_of_others_in_the_cluster(
    pauses: Pauses, indexed: Indexed, alter: Any, concerns_all: bool
) -> None:
    catalogue = indexed.catalogue
    tenant = await create_tenant(catalogue.database, "other", "Other")
    await catalogue.upsert(replace(FEED, server="lake"), tenant_id=tenant.id)
    await indexed.feed.catch_up()
    theirs = SearchScope(tenant.id, ((await create_role(catalogue.database, tenant.id, "every", "SEARCH")).id,))

    async def notice_of_the_other() -> str:
        signals = await indexed.index.signals(theirs, catalogue.space, [CAT])
        assert signals.tool_ids.tolist() == [catalogue.ids["lake__feed_cat"]]
        return signals.notice

    assert await notice_of_the_other() == ""
    indexed.proxy.alter, indexed.proxy.only = alter, f'"routing":"{TENANT}"'.encode()
    signals = await indexed.index.signals(indexed.scope, catalogue.space, [CAT])
    assert "PostgreSQL does" in signals.notice
    assert bool(await notice_of_the_other()) == concerns_all
    assert bool(indexed.index.failure) == concerns_all
    assert len(indexed.index.failures) == 1


async def test_an_index_that_somebody_closed_or_blocked_is_named(indexed: Indexed) -> None:
    (index,) = await indexed.feed.store.indexes()
    block = "index.blocks.read"
    await indexed.client.request("PUT", url_path(index.name, "_settings"), {block: True})
    assert "An index is blocked" in await indexed.notice()
    await indexed.client.request("PUT", url_path(index.name, "_settings"), {block: None})
    await until(indexed.is_mended)
    await indexed.client.request("POST", url_path(index.name, "_close"))
    assert "An index is closed" in await indexed.notice()
    assert indexed.index.failure == ""
    await indexed.client.request("POST", url_path(index.name, "_open"))
    await until(indexed.is_mended)


async def test_an_index_without_its_shards_is_never_taken_for_an_empty_one(indexed: Indexed) -> None:
    name = (await indexed.feed.store.indexes())[0].name
    await indexed.client.request("POST", url_path(name, "_close"))
    nowhere = {"index.routing.allocation.require._name": "no such node"}
    await indexed.client.request("PUT", url_path(name, "_settings"), nowhere)
    await indexed.client.request("POST", url_path(name, "_open"), params={"wait_for_active_shards": "0"})

    async def is_noticed() -> bool:
        return "PostgreSQL does" in await indexed.notice()

    # Until the node has heard of it, the shards that it has answer; every answer is whole.
    await until(is_noticed)
    anywhere = {"index.routing.allocation.require._name": None}
    await indexed.client.request("PUT", url_path(name, "_settings"), anywhere)
    await until(indexed.is_mended)


async def test_an_index_that_was_lost_while_no_node_answered_is_said_to_be_missing_once_one_does(
    pauses: Pauses, indexed: Indexed
) -> None:
    (index,) = await indexed.feed.store.indexes()
    assert indexed.index.failure == ""
    indexed.proxy.alter = _broken
    await indexed.notice()
    assert indexed.index.failure
    indexed.proxy.alter = None
    await indexed.client.request("DELETE", url_path(index.name))
    pauses.end()
    assert "found no index" in await indexed.notice()
    assert indexed.index.failure == ""


async def test_a_document_that_is_behind_shows_no_tool_outside_the_category_that_is_asked_for(
    indexed: Indexed,
) -> None:
    scope = replace(indexed.scope, category="other")
    tools = list(indexed.catalogue.ids.values())
    assert set(await indexed.index.cards(scope, indexed.catalogue.space, tools)) == set(tools)
    await indexed.catalogue.upsert(replace(FEED, category="git"))
    assert set(await indexed.index.cards(scope, indexed.catalogue.space, tools)) == {
        indexed.catalogue.ids[COUNT.exposed_name]
    }


async def test_an_index_that_is_deleted_is_built_anew_while_postgresql_answers(indexed: Indexed) -> None:
    for index in await indexed.feed.store.indexes():
        await indexed.client.request("DELETE", url_path(index.name))
    assert "found no index" in await indexed.notice()
    await indexed.feed.catch_up()
    await until(indexed.is_mended)


async def test_with_a_full_disk_postgresql_answers_what_changed_until_it_is_written(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch
) -> None:
    (index,) = await indexed.feed.store.indexes()
    block = "index.blocks.read_only_allow_delete"
    await indexed.client.request("PUT", url_path(index.name, "_settings"), {block: True})
    await indexed.catalogue.upsert(replace(FEED, description="Feed the dog"))
    with pytest.raises(OpenSearchDiskFullError, match="writes no more"):
        await indexed.feed.catch_up()
    # It may be on its way.
    assert await indexed.notice() == ""
    monkeypatch.setattr(opensearch_index, "_LAG_SECONDS", 0.0)
    assert "is not in the search cluster yet" in await indexed.notice()
    signals = await indexed.index.signals(indexed.scope, indexed.catalogue.space, [DOG])
    assert signals.lexical.max() > 0
    await indexed.client.request("PUT", url_path(index.name, "_settings"), {block: None})
    await indexed.feed.catch_up()
    await until(indexed.is_mended)
    signals = await indexed.index.signals(indexed.scope, indexed.catalogue.space, [DOG])
    assert (signals.notice, signals.lexical.max() > 0) == ("", True)


@pytest.mark.parametrize("category", [None, "other"])
async def test_a_part_of_the_tools_is_not_shown_as_all_of_them_for_long(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch, category: str | None
) -> None:
    name = (await indexed.feed.store.indexes())[0].name
    lost = url_path(name, "_doc", document_id(TENANT, indexed.catalogue.ids[COUNT.exposed_name]))
    await indexed.client.request("DELETE", lost, params={"routing": str(TENANT), "refresh": "true"})
    scope = replace(indexed.scope, category=category)

    async def found() -> tuple[int, bool]:
        signals = await indexed.index.signals(scope, indexed.catalogue.space, [CAT])
        return len(signals.tool_ids), "Of 2 tools 1 are in the search cluster yet" in signals.notice

    assert await found() == (1, False)
    monkeypatch.setattr(opensearch_index, "_LAG_SECONDS", 0.0)
    assert await found() == (2, True)


async def test_a_busy_cluster_is_written_to_later(indexed: Indexed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_writer, "_TRIES", 2)
    await indexed.catalogue.upsert(replace(FEED, description="Feed the dog"))
    indexed.proxy.alter = _busy
    with pytest.raises(OpenSearchBusyError):
        await indexed.feed.catch_up()
    indexed.proxy.alter = None
    await indexed.feed.catch_up()
    signals = await indexed.index.signals(indexed.scope, indexed.catalogue.space, [DOG])
    assert signals.notice == ""
    assert signals.lexical.max() > 0


async def test_another_server_in_the_clusters_place_ends_nothing(indexed: Indexed) -> None:
    indexed.proxy.alter = lambda method, path, answer: (200, {"status": "ok"})
    following = asyncio.create_task(indexed.feed.run())

    async def is_named() -> bool:
        return "no answer of OpenSearch's" in indexed.feed.progress.failure

    async def is_followed() -> bool:
        return not indexed.feed.progress.failure

    try:
        await until(is_named)
        assert "no answer of OpenSearch's" in await indexed.notice()
        indexed.proxy.alter = None
        await until(is_followed)
        await until(indexed.is_mended)
        assert not following.done()
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_what_a_busy_cluster_left_of_a_request_is_written_again(indexed: Indexed) -> None:
    await indexed.catalogue.upsert(replace(FEED, description="Feed the dog"), replace(COUNT, description="A dog"))
    refused: list[str] = []

    def full_queue(method: str, path: str, answer: Answer) -> Answer:
        # The cluster has it, but said so to nobody: it is written a second time then.
        if path.endswith("/_bulk") and len(refused) < 2:
            result = answer[1]["items"][0]["index"]
            refused.append(result["_id"])
            result |= {"status": 429, "error": _error("rejected_execution_exception", "the queue is full")["error"]}
        return answer

    indexed.proxy.alter = full_queue
    await indexed.feed.catch_up()
    assert len(refused) == 2
    signals = await indexed.index.signals(indexed.scope, indexed.catalogue.space, [DOG])
    assert (signals.notice, int((signals.lexical > 0).sum())) == ("", 2)


@pytest.mark.parametrize(
    ("status", "kind", "reason", "expected"),
    [
        (403, "index_create_block_exception", "blocked by: [FORBIDDEN/10/cluster create-index blocked (api)];", "disk"),
        (403, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/5/index read-only (api)];", "disk"),
        (429, "cluster_block_exception", "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded", "disk"),
        (403, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/7/index read (api)];", "incomplete"),
        (400, "index_closed_exception", "closed", "incomplete"),
        (429, "circuit_breaking_exception", "[parent] Data too large", "busy"),
        (400, "mapper_parsing_exception", "failed to parse field [tool]", "mapping"),
        (400, "invalid_index_name_exception", "already exists as alias", "alias"),
        (404, "index_not_found_exception", "no such index [x]", "index"),
    ],
)
def test_what_the_cluster_refuses_is_named(status: int, kind: str, reason: str, expected: str) -> None:
    assert failure_of_item(status, _error(kind, reason), "GET /x").error_code == f"opensearch-{expected}"


async def test_a_name_that_is_somebody_elses_is_not_taken(
    catalogue: IndexedCatalogue, opensearch: OpenSearchSettings, client: OpenSearchClient
) -> None:
    alias = space_alias(opensearch, catalogue.space.id)
    other = index_name(opensearch, catalogue.space.id, "other")
    owner = IndexOwner("another database", catalogue.space.id)
    await client.request("PUT", url_path(other), index_body(opensearch, owner, catalogue.space, other))
    await client.request("POST", "/_aliases", {"actions": [{"add": {"index": other, "alias": alias}}]})
    await catalogue.upsert(FEED)
    scope = SearchScope(TENANT, (await catalogue.add_role("some", *catalogue.ids),))
    async with catalogue.opensearch(Notices(catalogue.database), opensearch) as (index, feed):
        with pytest.raises(OpenSearchAliasError, match=r"belongs to index .*-other"):
            await feed.catch_up()
        signals = await index.signals(scope, catalogue.space, [CAT])
        assert signals.tool_ids.tolist() == list(catalogue.ids.values())
        assert "PostgreSQL does" in signals.notice
        await client.request("DELETE", url_path(other))
        await feed.catch_up()


async def test_an_index_that_somebody_laid_out_otherwise_is_named(
    catalogue: IndexedCatalogue, opensearch: OpenSearchSettings, client: OpenSearchClient
) -> None:
    name = index_name(opensearch, catalogue.space.id, "odd")
    installation = await catalogue.database.fetchval("installation_id")
    body = index_body(opensearch, IndexOwner(installation, catalogue.space.id), catalogue.space, name)
    body["mappings"]["properties"]["words"] = {"type": "integer"}
    body["aliases"][space_alias(opensearch, catalogue.space.id)] = {}
    await client.request("PUT", url_path(name), body)
    await catalogue.upsert(FEED)
    async with catalogue.opensearch(Notices(catalogue.database), opensearch) as (_, feed):
        with pytest.raises(OpenSearchMappingError, match="modelgate index rebuild"):
            await feed.catch_up()


async def test_a_server_that_is_no_opensearch_or_too_old_is_named(indexed: Indexed) -> None:
    def old(method: str, path: str, answer: Answer) -> Answer:
        return 200, {"version": {"distribution": "opensearch", "number": "2.11.0"}}

    def other(method: str, path: str, answer: Answer) -> Answer:
        return 200, {"version": {"number": "8.4.0"}}

    for alter, said in ((old, r"opensearch 2\.11\.0"), (other, r"another server 8\.4\.0")):
        indexed.proxy.alter = alter
        client = OpenSearchClient(indexed.settings)
        with pytest.raises(OpenSearchVersionError, match=said):
            await client.verify()
        await client.aclose()
        # Nothing is written there, and no search waits for it.
        async with indexed.catalogue.opensearch(
            Notices(indexed.catalogue.database),
            replace(indexed.settings, index_prefix=f"{indexed.settings.index_prefix}-b"),
        ) as (index, feed):
            with pytest.raises(OpenSearchVersionError, match=said):
                await feed.catch_up()
            signals = await index.signals(indexed.scope, indexed.catalogue.space, [CAT])
            assert "PostgreSQL does" in signals.notice


async def test_who_is_not_let_in_is_told_so(opensearch: OpenSearchSettings) -> None:
    proxy = ClusterProxy(opensearch.urls[0], password="Öffne dich, €!")
    async with proxy.running() as url:
        right = OpenSearchClient(replace(opensearch, urls=(url,), username="gateway", password="Öffne dich, €!"))
        assert await right.verify()
        await right.aclose()
        wrong = OpenSearchClient(replace(opensearch, urls=(url,), username="gateway", password="open barley"))
        with pytest.raises(OpenSearchCredentialsError, match=r"look at opensearch\.username"):
            await wrong.verify()
        await wrong.aclose()


@pytest.mark.parametrize(
    ("days", "trusted", "said"),
    [(1, True, ""), (-1, True, "certificate has expired"), (1, False, "unable to get local issuer certificate")],
    ids=["right", "expired", "of nobody"],
)
async def test_a_certificate_is_checked(
    opensearch: OpenSearchSettings, tmp_path: Path, days: int, trusted: bool, said: str
) -> None:
    authority = made("an authority")
    server = pem(*made("localhost", authority, days=days))
    for name, text in (("server", server.certificate), ("key", server.key), ("ca", pem(*authority).certificate)):
        (tmp_path / f"{name}.pem").write_text(text)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "server.pem", tmp_path / "key.pem")
    ca = tmp_path / "ca.pem"
    if not trusted:
        ca.write_text(pem(*made("another authority")).certificate)
    proxy = ClusterProxy(opensearch.urls[0])
    async with proxy.running(tls) as url:
        address = url.replace("127.0.0.1", "localhost")
        client = OpenSearchClient(replace(opensearch, urls=(address,), ca_file=str(ca)))
        if said:
            with pytest.raises(OpenSearchCertificateError, match=said):
                await client.verify()
        else:
            assert await client.verify()
        await client.aclose()
        unchecked = OpenSearchClient(replace(opensearch, urls=(address,), verify=False))
        assert await unchecked.verify()
        await unchecked.aclose()
