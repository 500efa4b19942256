"""A node that ends, between two writes or amid one, and comes back: nothing that it took is lost, PostgreSQL answers
while it is away and says so, what changed then follows, and in the end the cluster answers as memory does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.from_thread
import anyio.to_thread
import pytest
from hypothesis import HealthCheck, Phase, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gateway.database.notices import Notices
from gateway.search.index.opensearch.client import OpenSearchClient, url_path
from gateway.search.index.opensearch.documents import document_id
from gateway.search.index.opensearch.mapping import index_pattern
from gateway.settings import OpenSearchSettings
from tests.opensearch.proxy import Alter, Answer, ClusterProxy
from tests.opensearch.restartable_node import RestartableNode, restartable_node
from tests.opensearch.skipping import skipping_without_node
from tests.search.index.opensearch.world import CHANGES, FEEDS, World
from tests.support.indexed_catalogue import TENANT, CataloguedTool, IndexedCatalogue
from tests.support.thoroughness import cases

Steps = list[tuple[str, Any]]


@dataclass(frozen=True)
class Ending:
    """How the node ends: powered off or told to; after so many answers to a feed, the last of which gets lost, or where
    that is 0 between two writes."""

    is_power_off: bool
    answers: int

    def of(self, node: RestartableNode) -> Callable[[], None]:
        return node.kill if self.is_power_off else node.stop


def _ends_after(answers: int, end: Callable[[], None]) -> Alter:
    left = answers

    def alter(method: str, path: str, answer: Answer) -> Answer:
        nonlocal left
        left -= 1
        if left == 0:
            end()
        return answer if left > 0 else (503, {"error": {"type": "node_closed_exception", "reason": ""}, "status": 503})

    return alter


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RestartableNode]:
    with skipping_without_node(), restartable_node(tmp_path / "node") as started:
        yield started


async def _documents(client: OpenSearchClient, settings: OpenSearchSettings) -> dict[str, int]:
    """The versions of all documents that the cluster has, by id, once it has all its shards."""
    pattern = url_path(index_pattern(settings))
    await client.request("GET", "/_cluster/health", params={"wait_for_status": "green", "timeout": "60s"}, seconds=70)
    await client.request("POST", f"{pattern}/_refresh")
    answer = await client.request("POST", f"{pattern}/_search", {"size": 10_000, "version": True, "_source": False})
    return {hit["_id"]: hit["_version"] for hit in answer["hits"]["hits"]}


async def test_a_node_that_ends_and_comes_back_has_lost_nothing_and_learns_what_changed_meanwhile(
    catalogue: IndexedCatalogue, node: RestartableNode
) -> None:
    notices = Notices(catalogue.database)
    proxy = ClusterProxy(node.url)
    async with proxy.running() as url:
        settings = OpenSearchSettings(urls=(url,), index_prefix="restarts", replicas=0, timeout_ms=20_000)
        client = OpenSearchClient(settings)
        async with (
            catalogue.opensearch(notices, settings) as (index, feed),
            catalogue.opensearch(notices, settings) as (_, other),
        ):
            feeds = {"feed": feed, "other feed": other}
            world = World(catalogue, catalogue.memory(notices), index, feeds, proxy, client)

            async def check(before: Steps, ending: Ending, away: Steps) -> None:
                await world.begin()
                await world.check_same()
                for step, what in before:
                    await world.take(step, what)
                held = await _documents(client, settings)
                # Of what is gone from the catalogue a feed that is cut off may have taken out some.
                wanted = {document_id(TENANT, catalogue.ids[name]) for name in catalogue.ids.keys() - world.hidden}
                if ending.answers:
                    proxy.alter = _ends_after(ending.answers, ending.of(node))
                    await world.feed("feed")
                    proxy.alter = None
                await anyio.to_thread.run_sync(ending.of(node))
                for step, what in away:
                    await world.take(step, what)
                    await world.check_shown(is_away=True)
                await anyio.to_thread.run_sync(node.start)
                proxy.cluster = node.url
                # Some of its shards may not be there yet.
                await world.check_shown()
                there = await _documents(client, settings)
                lost = {key for key, version in held.items() if there.get(key, -1) < version}
                assert not lost & wanted
                assert not lost or ending.answers
                await world.check_same()

            # Whoever finds less does not look for the least: each look is another start.
            @hypothesis_settings(
                max_examples=cases(1, 25),
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
                phases=(Phase.explicit, Phase.generate),
            )
            @example(
                [("write", [CataloguedTool("sea", "read", "boat boat")]), ("hide", 0)],
                Ending(is_power_off=True, answers=6),
                [("write", [CataloguedTool("farm", "count", "cat", vector=(0.0, 0.6, -0.8, 0.0))]), ("feed", None)],
            )
            @given(
                st.lists(CHANGES | FEEDS, max_size=4),
                st.builds(Ending, st.booleans(), st.integers(0, 10)),
                st.lists(CHANGES | FEEDS, min_size=1, max_size=4),
            )
            def holds(before: Steps, ending: Ending, away: Steps) -> None:
                anyio.from_thread.run(check, before, ending, away)

            try:
                await anyio.to_thread.run_sync(holds)
            finally:
                await client.aclose()
            assert index.asked["opensearch"] > 0
