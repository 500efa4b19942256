"""A gateway whose searches run in the cluster, from a client's request to the answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.access.roles import role_by_name
from gateway.access.rules import set_rule
from gateway.access.tool_names import tools_by_name
from gateway.components import open_components
from gateway.search.index.index_factory import SearchCluster
from gateway.search.index.opensearch.client import url_path
from gateway.search.index.opensearch.mapping import index_pattern
from gateway.settings import OpenSearchSettings, Settings
from tests.support.gateway import RunningGateway, add_local_mcp, running_gateway
from tests.support.waiting import until


@pytest.fixture
async def searching(
    settings: Settings, opensearch: OpenSearchSettings, tmp_path: Path
) -> AsyncIterator[tuple[RunningGateway, SearchCluster]]:
    settings = replace(settings, search=replace(settings.search, index="opensearch"), opensearch=opensearch)
    async with open_components(settings) as parts, running_gateway(parts) as gateway:
        await add_local_mcp(parts, tmp_path)
        assert parts.search_cluster is not None
        yield gateway, parts.search_cluster


async def _search(gateway: RunningGateway, query: str) -> Any:
    result = await gateway.call("tool_search", {"query": query})
    return json.loads(result["content"][0]["text"])


async def _answers_in_cluster(gateway: RunningGateway, cluster: SearchCluster) -> bool:
    before = cluster.index.asked["opensearch"]
    answer = await _search(gateway, "calculate math expressions")
    return bool(answer["tools"]) and "notice" not in answer and cluster.index.asked["opensearch"] > before


async def test_a_search_is_answered_in_the_cluster_and_a_denied_tool_is_gone_with_the_next_one(
    searching: tuple[RunningGateway, SearchCluster],
) -> None:
    gateway, cluster = searching
    await until(lambda: _answers_in_cluster(gateway, cluster))
    answer = await _search(gateway, "calculate math expressions")
    assert answer["tools"][0]["name"] == "local_mcp__calculator"
    database = gateway.parts.database
    role = await role_by_name(database, 1, "all")
    await set_rule(database, 1, role.id, "DENY", pattern="local_mcp__calculator")
    answer = await _search(gateway, "calculate math expressions")
    assert "local_mcp__calculator" not in json.dumps(answer)
    ready = (await gateway.http.get("/ready")).json()
    assert ready["parts"]["search cluster"]["ready"]
    metrics = (await gateway.http.get("/metrics")).text
    assert "modelgate_opensearch_available 1.0" in metrics


async def test_an_example_that_is_removed_has_no_effect_although_nothing_can_be_written(
    searching: tuple[RunningGateway, SearchCluster],
) -> None:
    gateway, cluster = searching
    parts, query = gateway.parts, "calculate math expressions"

    async def score() -> float:
        answer = await _search(gateway, query)
        (found,) = [tool for tool in answer["tools"] if tool["name"] == "local_mcp__calculator"]
        assert "notice" not in answer
        return float(found["_metadata"]["similarity"])

    await until(lambda: _answers_in_cluster(gateway, cluster))
    before = await score()
    (tool,) = await tools_by_name(parts.database, 1, "local_mcp__calculator")
    example = await parts.examples.add(1, tool.id, query)
    assert await parts.learner.refresh(1, tool.id) == ""

    async def is_raised() -> bool:
        return await score() > before + 0.05

    await until(is_raised)
    # The cluster is not told any more.
    pattern = url_path(index_pattern(cluster.client.settings))
    await cluster.client.request("PUT", f"{pattern}/_settings", {"index.blocks.write": True})
    await parts.examples.remove(1, tool.id, example)
    assert await score() == pytest.approx(before, abs=1e-3)
    await cluster.client.request("PUT", f"{pattern}/_settings", {"index.blocks.write": None})


async def test_with_no_cluster_there_postgresql_answers_and_it_is_said(settings: Settings, tmp_path: Path) -> None:
    nowhere = OpenSearchSettings(urls=("http://127.0.0.1:9",))
    settings = replace(settings, search=replace(settings.search, index="opensearch"), opensearch=nowhere)
    async with open_components(settings) as parts, running_gateway(parts) as gateway:
        await add_local_mcp(parts, tmp_path)
        answer = await _search(gateway, "calculate math expressions")
        assert answer["tools"][0]["name"] == "local_mcp__calculator"
        assert "None of http://127.0.0.1:9 answers" in answer["notice"]
        ready = await gateway.http.get("/ready")
        assert ready.status_code == 200
        assert not ready.json()["parts"]["search cluster"]["ready"]
