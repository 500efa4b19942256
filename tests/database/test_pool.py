"""The database that goes away and comes back, or cannot be used at all."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import gateway.database.pool
from gateway.app import open_components
from gateway.database.embedded import EmbeddedServer
from gateway.database.pool import Database, open_database
from gateway.errors import ConflictError, DatabaseError, DatabaseUnavailableError, InvalidInputError
from gateway.settings import DatabaseSettings, ServerSettings, Settings
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.listed import add_listed, tool
from tests.support.postgres import Postgres, old_pgvector, stop
from tests.support.rows import rows, value
from tests.support.waiting import until

SEARCH = {"name": "tool_search", "arguments": {"query": "calculate math expressions"}}


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL of the tests' own."""
    server = Postgres(tmp_path_factory.mktemp("pg"))
    server.start()
    yield server
    server.stop("fast")


async def search_status(gateway: RunningGateway) -> int:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": SEARCH}
    return (await gateway.post(message)).status_code


async def searches(gateway: RunningGateway) -> bool:
    return await search_status(gateway) == 200


async def test_without_postgresql_requests_are_told_and_then_it_goes_on(
    settings: Settings, postgres: Postgres, tmp_path: Path
) -> None:
    own = replace(settings, database=DatabaseSettings(url=postgres.url, pool_size=4))
    async with open_components(own) as parts, running_gateway(parts) as gateway:
        await add_listed(parts, tmp_path, tool("calculator", "Perform mathematical calculations"))
        assert await searches(gateway)
        await asyncio.to_thread(postgres.stop)
        for _ in range(3):
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": SEARCH}
            response = await gateway.post(message)
            assert response.status_code == 503
            assert response.headers["retry-after"] == "1"
            assert response.json()["error"]["message"] == "The database does not answer; try again in a moment."
        assert (await gateway.http.get("/health")).status_code == 200
        ready = await gateway.http.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["parts"]["database"]["ready"] is False
        many = await asyncio.gather(*(search_status(gateway) for _ in range(20)))
        assert set(many) == {503}
        await asyncio.to_thread(postgres.start)
        await until(lambda: searches(gateway))
        result = await gateway.call("tool_search", {"query": "calculate math expressions"})
        assert "listed__calculator" in result["content"][0]["text"]
        assert (await gateway.http.get("/ready")).status_code == 200


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


async def refusal(settings: Settings, url: str) -> str:
    with pytest.raises(DatabaseError) as caught:
        async with open_database(replace(settings, database=DatabaseSettings(url=url))):
            pass
    return caught.value.message


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:secret@127.0.0.1:1/db", "postgresql://me:secret@/db?host=/nowhere", "mysql://me:secret@h/x", "x"],
)
async def test_a_database_that_cannot_be_reached_is_told_without_its_password(settings: Settings, url: str) -> None:
    told = await refusal(settings, url)
    assert "cannot be reached" in told
    assert "secret" not in told
    assert told.endswith("check database.url and that PostgreSQL runs.")


async def test_a_database_that_does_not_exist_is_told(settings: Settings, database_url: str) -> None:
    name = urlsplit(database_url).path.strip("/")
    assert "does not exist" in await refusal(settings, database_url.replace(name, "no_such_database"))


async def test_postgresql_without_pgvector_is_told_what_to_install(settings: Settings, tmp_path: Path) -> None:
    server = Postgres(tmp_path / "pg")
    server.start(extensions="/nowhere")
    try:
        told = await refusal(settings, server.url)
        assert await value(server.url, "SELECT to_regclass('schema_migrations')") is None
    finally:
        server.stop()
    assert "has no pgvector; install pgvector 0.8 or newer" in told


async def test_an_old_pgvector_is_told(settings: Settings, tmp_path: Path) -> None:
    server = Postgres(tmp_path / "pg")
    server.start(extensions=old_pgvector(tmp_path, "0.7.4"))
    try:
        assert "has pgvector 0.7.4; install pgvector 0.8 or newer" in await refusal(settings, server.url)
    finally:
        server.stop()


async def test_an_old_postgresql_is_told(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.database.pool, "_MINIMUM_POSTGRESQL", 99)
    assert await refusal(settings, database_url) == "PostgreSQL 18 is too old; ModelGate needs PostgreSQL 99 or newer."


async def version(database: Database) -> int:
    row = await database.fetchrow("tenant_by_slug", "default")
    assert row is not None
    return int(row["catalogue_version"])


async def test_a_transaction_is_kept_as_a_whole_or_not_at_all(settings: Settings) -> None:
    async def fail(database: Database) -> None:
        async with database.transaction() as transaction:
            await transaction.fetchval("bump_catalogue", 1)
            raise RuntimeError

    async with open_database(settings) as database:
        with pytest.raises(RuntimeError):
            await fail(database)
        assert await version(database) == 1


async def test_a_connection_that_is_lost_in_a_transaction_is_told(settings: Settings) -> None:
    async def lose(database: Database) -> None:
        async with database.transaction() as transaction:
            await transaction.fetchval("bump_catalogue", 1)
            await rows(
                database.url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            await transaction.fetchval("bump_catalogue", 1)

    async with open_database(settings) as database:
        with pytest.raises(DatabaseUnavailableError):
            await lose(database)
        assert await version(database) == 1


@pytest.mark.parametrize("slug", ["a\x00b", "\ud800"])
async def test_characters_that_the_database_does_not_have_are_bad_input(settings: Settings, slug: str) -> None:
    async with open_database(settings) as database:
        with pytest.raises(InvalidInputError):
            await database.fetchrow("tenant_by_slug", slug)
        assert await database.fetchrow("tenant_by_slug", "default")


async def test_what_is_there_already_is_a_conflict(settings: Settings) -> None:
    async with open_database(settings) as database:
        with pytest.raises(ConflictError):
            await database.execute("record_migration", 1, "again", "x")
