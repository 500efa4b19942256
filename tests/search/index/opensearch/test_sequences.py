"""Whatever happens to catalogue, roles, feed and cluster, and in whichever order: nobody is shown what they may not
see, and once the feed has caught up the cluster answers as memory does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio.from_thread
import anyio.to_thread
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gateway.database.notices import Notices
from gateway.search.index.opensearch.client import OpenSearchClient
from gateway.settings import OpenSearchSettings
from tests.opensearch.proxy import ClusterProxy
from tests.search.index.opensearch.world import CHANGES, FAULTS, FEEDS, World
from tests.support.indexed_catalogue import IndexedCatalogue


async def test_nothing_is_shown_that_may_not_be_and_the_cluster_answers_as_memory_does(
    catalogue: IndexedCatalogue, opensearch: OpenSearchSettings, client: OpenSearchClient
) -> None:
    notices = Notices(catalogue.database)
    proxy = ClusterProxy(opensearch.urls[0])
    async with (
        proxy.running() as url,
        catalogue.opensearch(notices, replace(opensearch, urls=(url,))) as (index, feed),
        catalogue.opensearch(notices, replace(opensearch, urls=(url,))) as (_, other),
        catalogue.opensearch(notices, opensearch) as (_, direct),
    ):
        feeds = {"feed": feed, "other feed": other, "direct": direct}
        world = World(catalogue, catalogue.memory(notices), index, feeds, proxy, client)

        async def check(steps: list[tuple[str, Any]]) -> None:
            await world.begin()
            try:
                for step, what in steps:
                    await world.take(step, what)
                    await world.check_shown()
                await world.check_same()
            finally:
                proxy.alter = None

        @hypothesis_settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(st.lists(CHANGES | FEEDS | FAULTS, min_size=3, max_size=12))
        def holds(steps: list[tuple[str, Any]]) -> None:
            anyio.from_thread.run(check, steps)

        await anyio.to_thread.run_sync(holds)
        assert index.asked["opensearch"] > 0
