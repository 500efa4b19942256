"""The PostgreSQL that the gateway starts for itself."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.components import open_components
from gateway.database.embedded import EmbeddedServer
from gateway.database.pool import open_database
from gateway.errors import DatabaseError
from gateway.settings import DatabaseSettings, ServerSettings, Settings
from tests.support.gateway import running_gateway
from tests.support.listed import add_listed, tool
from tests.support.postgres import stop
from tests.support.searching import search_status, searches
from tests.support.waiting import until


async def test_the_embedded_one_is_started_again_by_the_gateway(settings: Settings, tmp_path: Path) -> None:
    data = tmp_path / "embedded"
    own = replace(
        settings,
        database=DatabaseSettings(pool_size=4),
        server=ServerSettings(port=0, data_dir=str(data)),
    )
    async with open_components(own) as parts, running_gateway(parts) as gateway:
        assert await searches(gateway)
        await asyncio.to_thread(stop, data / "postgresql")
        assert await search_status(gateway) == 503
        await until(lambda: searches(gateway))
        # A change is still heard of: the connection that listens came back, too.
        await add_listed(parts, tmp_path, tool("calculator", "Perform mathematical calculations"))
        result = await gateway.call("tool_search", {"query": "calculate math expressions"})
        assert "listed__calculator" in result["content"][0]["text"]


async def test_the_embedded_one_is_shared_and_stops_with_the_last(settings: Settings, tmp_path: Path) -> None:
    own = replace(
        settings, database=DatabaseSettings(), server=ServerSettings(data_dir=str(tmp_path / "shared"), port=0)
    )
    program = (
        "import asyncio, sys\n"
        "from gateway.database.pool import Database, open_database\n"
        "from gateway.settings import load_settings\n"
        "async def main():\n"
        "    async with open_database(load_settings()) as database:\n"
        "        print(await database.fetchval('applied_migrations'), flush=True)\n"
        "        await asyncio.to_thread(sys.stdin.readline)\n"
        "asyncio.run(main())\n"
    )
    environ = {"MODELGATE_DATA_DIR": own.server.data_dir, "PATH": "/usr/bin:/bin:/usr/sbin"}
    pid_file = tmp_path / "shared" / "postgresql" / "postmaster.pid"

    async def other() -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, env=environ, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"1\n"
        return process

    killed = await other()
    killed.kill()
    await killed.wait()
    assert pid_file.exists()
    async with open_database(own) as database:
        polite = await other()
        await polite.communicate(b"\n")
        assert polite.returncode == 0
        assert await database.fetchval("applied_migrations") == 1
    # The one that was killed never said that it let go.
    assert not pid_file.exists()


@pytest.mark.parametrize("below", ["file/data", "file"])
def test_a_data_directory_that_cannot_be_written_is_told(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DatabaseError) as caught:
        EmbeddedServer(tmp_path / below).start()
    assert caught.value.message.startswith(f"The data directory {tmp_path / below} cannot be written (")
    assert caught.value.message.endswith("set server.data_dir to another one.")
