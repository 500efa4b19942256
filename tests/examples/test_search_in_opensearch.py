"""The example that starts from a cluster, as it is started."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.settings import OpenSearchSettings
from tests.support.cluster import Cluster

EXAMPLE = Path(__file__).parents[2] / "examples" / "search_in_opensearch.py"


@pytest.fixture
async def environ(cluster: Cluster, opensearch: OpenSearchSettings) -> AsyncIterator[dict[str, str]]:
    name = await cluster.create()
    yield {
        **{name: value for name, value in os.environ.items() if not name.startswith("MODELGATE_")},
        "MODELGATE_DATABASE_URL": cluster.url(name),
        "MODELGATE_OPENSEARCH_INDEX_PREFIX": opensearch.index_prefix,
        "MODELGATE_OPENSEARCH_TIMEOUT_MS": "20000",
        "PYTHONPATH": str(EXAMPLE.parents[1]),
    }
    await cluster.drop(name)


async def test_a_gateway_on_a_cluster_finds_a_tool_in_it(
    environ: dict[str, str], opensearch: OpenSearchSettings, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLE), opensearch.urls[0], str(tmp_path), "calculate math expressions"),
        env=environ,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 300)
    assert process.returncode == 0, err.decode()
    assert "serving" in out.decode()
    assert "local_mcp__calculator" in out.decode()
    assert "Answered by the cluster." in out.decode()
