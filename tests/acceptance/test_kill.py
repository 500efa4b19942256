"""Processes killed in the middle of their work: nothing half-written, and the next one finishes the job."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import open_components
from gateway.settings import EmbedderSettings, Settings
from tests.doubles.embedding_faults import Fault
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.listed import listed_command, tool
from tests.support.rows import rows, value
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
TOOLS = 48
KILLS = 6


def tools(version: int) -> list[dict[str, Any]]:
    return [tool(f"tool_{n}", f"Version {version} of what number {n} does", a=f"parameter {n}") for n in range(TOOLS)]


async def sync(environ: dict[str, str], *, seconds: float | None = None) -> int:
    """Run `modelgate sync`; with `seconds`, kill it after so long. Returns its exit code."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "sync"),
        env={**environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return await asyncio.wait_for(process.wait(), seconds)
    except asyncio.TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        return await process.wait()


async def version_of(url: str) -> int:
    """Which version of the tools the catalogue holds, 0 for none; fails where it holds a part of one."""
    found = await rows(url, "SELECT id, description, term_count FROM tools WHERE removed_at IS NULL")
    if not found:
        assert await value(url, "SELECT count(*) FROM tool_terms") == 0
        assert await value(url, "SELECT count(*) FROM server_versions") == 0
        return 0
    versions = {int(re.findall(r"Version (\d+)", row["description"])[0]) for row in found}
    assert (len(found), len(versions)) == (TOOLS, 1)
    terms = await rows(url, "SELECT tool_id, sum(count)::int AS terms FROM tool_terms GROUP BY tool_id")
    assert {row["id"]: row["term_count"] for row in found} == {row["tool_id"]: row["terms"] for row in terms}
    assert await value(url, "SELECT count(*) FROM role_tools") == TOOLS
    assert await value(url, "SELECT count(*) FROM tool_embeddings") == TOOLS
    version = versions.pop()
    assert await value(url, "SELECT count(*) FROM server_versions") == version
    return version


async def test_a_sync_that_is_killed_leaves_nothing_half_written(
    settings: Settings, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "tools.json"
    command, arguments = listed_command(file)
    async with EmbeddingServer() as embedder:
        own = {name: text for name, text in os.environ.items() if not name.startswith("MODELGATE_")}
        environ = {
            **own,
            "MODELGATE_DATABASE_URL": database_url,
            "MODELGATE_DATA_DIR": settings.server.data_dir,
            "MODELGATE_EMBEDDER_TYPE": "ollama",
            "MODELGATE_EMBEDDER_URL": embedder.url,
            "MODELGATE_CONFIG": "/dev/null",
        }
        async with open_components(settings_for(settings, embedder)) as parts:
            await parts.servers.add(1, ServerDefinition("Listed", "stdio", command=command, args=arguments))
        embedder.fault = Fault.slow(0.15)
        version = 0
        for turn in range(KILLS):
            file.write_text(json.dumps({"tools": tools(version + 1)}))
            await sync(environ, seconds=random.uniform(0.6, 2.2) + 0.2 * turn)
            after = await version_of(database_url)
            assert after in (version, version + 1)
            version = after
        embedder.fault = None
        file.write_text(json.dumps({"tools": tools(version + 1)}))
        assert await sync(environ) == 0
        assert await version_of(database_url) == version + 1
        embedder.clear()
        assert await sync(environ) == 0
        # A process that starts asks once what the vectors are like.
        assert not any(text.startswith("search_document: ") for text in embedder.embedded)
    assert await value(database_url, "SELECT sync_error FROM servers") is None


def settings_for(settings: Settings, embedder: EmbeddingServer) -> Settings:
    return replace(settings, embedder=EmbedderSettings(type="ollama", base_url=embedder.url))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_gateway_that_is_asked_to_stop_does_so_in_order(
    settings: Settings, database_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    file = tmp_path / "tools.json"
    file.write_text(json.dumps({"tools": []}))
    command, arguments = listed_command(file)
    async with open_components(settings) as parts:
        await parts.servers.add(1, ServerDefinition("Listed", "stdio", command=command, args=arguments))
    own = {name: text for name, text in os.environ.items() if not name.startswith("MODELGATE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve"),
        env={
            **own,
            "MODELGATE_DATABASE_URL": database_url,
            "MODELGATE_DATA_DIR": settings.server.data_dir,
            "MODELGATE_EMBEDDER_TYPE": "builtin",
            "MODELGATE_SERVER_PORT": "0",
            "MODELGATE_CONFIG": "/dev/null",
            "PYTHONPATH": str(ROOT),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 30)
    assert re.match(rb"ModelGate is ready at http://127\.0\.0\.1:\d+ \(MCP: http://127\.0\.0\.1:\d+/mcp\)\.", line)
    process.send_signal(number)
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert b"Traceback" not in err
    assert b"ERROR" not in err
    left = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )

    async def nobody_is_left() -> bool:
        return bool(await value(database_url, left) == 0)

    await until(nobody_is_left)
