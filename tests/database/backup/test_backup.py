"""A backup written while a gateway runs, and what becomes of it elsewhere."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.access.profiles import Profiles
from gateway.access.roles import create_role
from gateway.access.rules import set_rule
from gateway.access.tenants import create_tenant
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import Components, open_components
from gateway.database.backup.archive import BackupReader, Manifest
from gateway.database.backup.backup import write_backup
from gateway.database.backup.restore import restore_backup
from gateway.database.migrate import migrations_folder, read_migrations
from gateway.database.queries import statement
from gateway.errors import BackupError
from gateway.settings import DatabaseSettings, Settings
from gateway.vault import fingerprints, open_keys
from tests.support.audit import audit_rows
from tests.support.cluster import Cluster
from tests.support.gateway import running_gateway
from tests.support.listed import add_listed, tool
from tests.support.rows import rows, value
from tests.support.waiting import until


@pytest.fixture
async def other_url(cluster: Cluster) -> AsyncIterator[str]:
    """Another database, in which nobody has made anything."""
    name = await cluster.create()
    yield cluster.url(name)
    await cluster.drop(name)


async def _restore(url: str, file: Path, *, replace: bool = False) -> Manifest:
    with BackupReader(file) as reader:
        return await restore_backup(url, reader, replace=replace)


async def _fill(parts: Components, folder: Path) -> None:
    """Servers with tools and with a credential, roles, a rule, a profile."""
    server = await add_listed(parts, folder, tool("calculator", "Perform mathematical calculations", expression="What"))
    await parts.servers.add(
        server.tenant_id, ServerDefinition("Web", "http", url="https://one.example/mcp", headers={"X-Key": "s3cret"})
    )
    role = await create_role(parts.database, server.tenant_id, "readers")
    await set_rule(parts.database, server.tenant_id, role.id, "DENY", server_id=server.id)
    await Profiles(parts.database, parts.notices).create(server.tenant_id, "numbers")


async def test_what_a_running_gateway_knows_is_there_again_in_another_database(
    settings: Settings, parts: Components, other_url: str, tmp_path: Path
) -> None:
    await _fill(parts, tmp_path)
    file = tmp_path / "gateway.backup"
    async with running_gateway(parts) as gateway:
        await gateway.call("tool_search", {"query": "calculate math expressions"})
        await audit_rows(parts.database, action="tool.search")
        written = await write_backup(settings.database.url, file)
        key = gateway.key
    assert file.stat().st_mode & 0o077 == 0
    assert written.keys == fingerprints(open_keys("", "", settings.data_dir))[:1]
    assert (written.rows("servers"), written.rows("tools"), written.has_vectors) == (2, 1, True)

    await _restore(other_url, file)
    async with open_components(replace(settings, database=DatabaseSettings(other_url, 4))) as restored:
        async with running_gateway(restored) as gateway:
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "tool_search"}}
            body["params"]["arguments"] = {"query": "calculate math expressions"}  # type: ignore[index]
            answer = (await gateway.post(body, **{"X-API-Key": key})).json()
            found = json.loads(answer["result"]["content"][0]["text"])
            assert [each["name"] for each in found["tools"]] == ["listed__calculator"]
            assert "notice" not in found
        tenant = (await restored.database.fetch("list_tenants"))[0]["id"]
        servers = {server.name: server.id for server in await restored.servers.list(tenant)}
        spec = await restored.servers.spec(tenant, servers["Web"])
        assert dict(spec.headers) == {"X-Key": "s3cret"}
        assert await audit_rows(restored.database, action="tool.search")
        assert await restored.database.fetchval("lacking_vectors") == 0
        # What is made from now on does not collide with what was there.
        await add_listed(restored, tmp_path, tool("weather"), name="Later")
        assert await audit_rows(restored.database, action="server.added", wanted=3)


async def test_a_backup_holds_each_change_whole_that_is_made_while_it_is_written(
    settings: Settings, parts: Components, other_url: str, tmp_path: Path
) -> None:
    made = 0
    is_over = False
    has_begun = asyncio.Event()

    async def make() -> None:
        nonlocal made
        while not is_over:
            async with parts.database.transaction() as transaction:
                row = await transaction.fetchrow("insert_tenant", f"tenant-{made}", "A tenant")
                assert row is not None
                await asyncio.sleep(0)
            made += 1
            has_begun.set()

    making = asyncio.create_task(make())
    await has_begun.wait()
    manifests = [await write_backup(settings.database.url, tmp_path / f"{number}.backup") for number in range(3)]
    is_over = True
    await making
    for number, manifest in enumerate(manifests):
        # The trace of a change is written with it.
        await _restore(other_url, tmp_path / f"{number}.backup", replace=True)
        connection = await asyncpg.connect(other_url)
        try:
            traced = await connection.fetchval("SELECT count(*) FROM audit_log WHERE action = 'tenant.added'")
            assert await connection.fetchval("SELECT count(*) FROM tenants") == manifest.rows("tenants")
        finally:
            await connection.close()
        assert manifest.rows("tenants") - 1 == traced


async def test_a_backup_that_is_written_while_a_server_is_synced_holds_one_version_of_it_whole(
    settings: Settings, parts: Components, other_url: str, tmp_path: Path
) -> None:
    def tools(version: int) -> list[Any]:
        return [tool(f"tool_{n}", f"Version {version} of what number {n} does") for n in range(40)]

    server = await add_listed(parts, tmp_path, *tools(1))
    versions, is_over = 1, False

    async def sync() -> None:
        nonlocal versions
        while not is_over:
            server.lists(*tools(versions + 1))
            await server.sync()
            versions += 1

    syncing = asyncio.create_task(sync())
    files = [tmp_path / f"{number}.backup" for number in range(3)]
    for file in files:
        before = versions
        await write_backup(settings.database.url, file)
        await until(lambda before=before: versions > before)  # type: ignore[misc]
    is_over = True
    await syncing
    for file in files:
        await _restore(other_url, file, replace=True)
        found = await rows(other_url, "SELECT id, description, term_count FROM tools WHERE removed_at IS NULL")
        assert (len(found), len({row["description"].split()[1] for row in found})) == (40, 1)
        terms = await rows(other_url, "SELECT tool_id, sum(count)::int AS terms FROM tool_terms GROUP BY tool_id")
        assert {row["id"]: row["term_count"] for row in found} == {row["tool_id"]: row["terms"] for row in terms}
        newest = await value(other_url, "SELECT max(version) FROM server_versions")
        assert found[0]["description"].startswith(f"Version {newest} ")


async def test_a_backup_without_vectors_is_embedded_anew(
    settings: Settings, parts: Components, other_url: str, tmp_path: Path
) -> None:
    await _fill(parts, tmp_path)
    file = tmp_path / "gateway.backup"
    await write_backup(settings.database.url, file, with_vectors=False)
    await _restore(other_url, file)
    async with open_components(replace(settings, database=DatabaseSettings(other_url, 4))) as restored:
        tools = await restored.spaces.configured_space()
        assert tools.space.dimensions > 0
        assert await restored.database.fetchval("lacking_vectors") == 1


async def test_a_backup_of_an_older_version_is_brought_up_to_date(
    cluster: Cluster, other_url: str, tmp_path: Path
) -> None:
    migrations = read_migrations(migrations_folder())
    name = await cluster.create()
    connection = await asyncpg.connect(cluster.url(name))
    try:
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await connection.execute(statement("create_schema_migrations"))
        for migration in migrations[:12]:
            await migration.apply(connection)
            await connection.execute(
                statement("record_migration"), migration.number, migration.name, migration.checksum
            )
        await create_tenant_in(connection, "acme")
        manifest = await write_backup(cluster.url(name), tmp_path / "old.backup")
    finally:
        await connection.close()
        await cluster.drop(name)
    assert len(manifest.migrations) == 12
    await _restore(other_url, tmp_path / "old.backup")
    connection = await asyncpg.connect(other_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM tenants WHERE slug = 'acme'") == 1
        assert await connection.fetchval("SELECT max(number) FROM schema_migrations") == len(migrations)
    finally:
        await connection.close()


async def create_tenant_in(connection: asyncpg.Connection[Any], slug: str) -> None:
    await connection.execute("INSERT INTO tenants (slug, name) VALUES ($1, $1)", slug)


def _with_manifest(file: Path, into: Path, **changes: Any) -> Path:
    """A copy of a backup with another manifest."""
    with zipfile.ZipFile(file) as before, zipfile.ZipFile(into, "w") as after:
        for entry in before.namelist():
            content = before.read(entry)
            if entry == "manifest.json":
                content = json.dumps({**json.loads(content), **changes}).encode()
            after.writestr(entry, content)
    return into


async def test_what_cannot_be_restored_is_refused_with_a_sentence_and_changes_nothing(
    settings: Settings, database_url: str, other_url: str, tmp_path: Path
) -> None:
    async with open_components(settings) as parts:
        await create_tenant(parts.database, "acme", "Acme")
        manifest = await write_backup(database_url, tmp_path / "good.backup")
        with pytest.raises(BackupError, match="A gateway uses this database"):
            await _restore(database_url, tmp_path / "good.backup", replace=True)
    good = tmp_path / "good.backup"
    content = good.read_bytes()
    migrations = [{"number": each.number, "name": each.name, "checksum": each.checksum} for each in manifest.migrations]
    later = [*migrations, {"number": len(migrations) + 1, "name": "later", "checksum": "0"}]
    tables = [
        {"name": "tenants", "columns": ["id"], "rows": 1, "sha256": "0" * 64},
    ]
    (tmp_path / "cut").write_bytes(content[:-100])
    middle = len(content) // 2
    (tmp_path / "flipped").write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    (tmp_path / "text").write_text("no backup")
    refused = {
        tmp_path / "cut": "only a part of one",
        tmp_path / "flipped": "is damaged",
        tmp_path / "text": "is no backup",
        tmp_path / "none": "cannot be read",
        _with_manifest(good, tmp_path / "form", format=2, version="9.0"): "written by ModelGate 9.0 in a form",
        _with_manifest(good, tmp_path / "newer", migrations=later, version="9.0"): "newer than that of this version",
        _with_manifest(good, tmp_path / "line", migrations=[{**migrations[0], "checksum": "1"}]): "another line",
        _with_manifest(good, tmp_path / "sum", tables=tables): "is damaged, in tenants",
    }
    for file, said in refused.items():
        with pytest.raises(BackupError, match=said):
            await _restore(other_url, file)
    with pytest.raises(BackupError, match="holds servers, keys or admins already"):
        await _restore(database_url, good)
    connection = await asyncpg.connect(other_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM tenants") == 1
        await connection.execute("CREATE TABLE shop (id int)")
        with pytest.raises(BackupError, match="tables of something else, shop among them"):
            await _restore(other_url, good)
    finally:
        await connection.close()
    await _restore(database_url, good, replace=True)
