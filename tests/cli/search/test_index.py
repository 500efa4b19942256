"""`modelgate index` on a real cluster."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.components import open_components
from gateway.settings import OpenSearchSettings, load_settings
from tests.cli.shell import Shell


@pytest.fixture
def clustered(shell: Shell, opensearch: OpenSearchSettings) -> Shell:
    """The shell, with searches in the cluster."""
    return Shell(
        {
            **shell.environ,
            "MODELGATE_SEARCH_INDEX": "opensearch",
            "MODELGATE_OPENSEARCH_URLS": ",".join(opensearch.urls),
            "MODELGATE_OPENSEARCH_INDEX_PREFIX": opensearch.index_prefix,
            "MODELGATE_OPENSEARCH_REPLICAS": "0",
            "MODELGATE_OPENSEARCH_TIMEOUT_MS": "20000",
        }
    )


async def catch_up(environ: dict[str, str]) -> None:
    """What a gateway that runs does."""
    async with open_components(load_settings(environ=environ)) as parts:
        assert parts.search_cluster is not None
        await parts.spaces.active_space()
        await parts.search_cluster.feed.catch_up()


def test_indexes_are_shown_built_anew_and_dropped(clustered: Shell) -> None:
    assert "There is no index yet; PostgreSQL answers." in clustered.says("index", "status")
    looked = clustered.run("doctor").output
    assert "there is no index yet. " in " ".join(looked.split())
    asyncio.run(catch_up(clustered.environ))
    assert "3 of 3 tools are there, and nobody writes." in clustered.run("doctor").output
    said = clustered.says("index", "status")
    assert "OpenSearch 2." in said
    assert "3 of 3" in said
    before = json.loads(clustered.says("index", "status", "--json"))["indexes"]
    assert [each["state"] for each in before] == ["serving"]
    assert "A new index of space" in clustered.says("index", "rebuild")
    assert "filling" in clustered.says("index", "status")
    asyncio.run(catch_up(clustered.environ))
    (after,) = json.loads(clustered.says("index", "status", "--json"))["indexes"]
    assert after["name"] != before[0]["name"]
    # Searches may have left the cluster by then.
    left = Shell({**clustered.environ, "MODELGATE_SEARCH_INDEX": "memory"})
    assert f"Dropped: {after['name']}." in left.says("index", "drop", "--yes")
    assert "There was none." in clustered.says("index", "drop", "--yes")


def test_a_cluster_that_does_not_answer_is_a_problem(clustered: Shell) -> None:
    lost = Shell({**clustered.environ, "MODELGATE_OPENSEARCH_URLS": "http://127.0.0.1:9"})
    result = lost.run("index", "status")
    assert result.exit_code == 1
    assert "None of http://127.0.0.1:9 answers" in result.output
    assert "[opensearch-unavailable]" in lost.run("doctor").output


def test_without_a_cluster_there_is_nothing_to_show(shell: Shell) -> None:
    for command in (("status",), ("rebuild",)):
        assert 'search.index is "memory"' in shell.fails("index", *command)
