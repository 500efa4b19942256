"""A PostgreSQL that cannot be used at all."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.database.pool import open_database
from gateway.database.requirements import DatabaseRequirements
from gateway.errors import DatabaseError
from gateway.settings import DatabaseSettings, Settings
from tests.support.postgres import Postgres, old_pgvector
from tests.support.rows import value


async def refusal(settings: Settings, url: str, requirements: DatabaseRequirements | None = None) -> str:
    with pytest.raises(DatabaseError) as caught:
        async with open_database(replace(settings, database=DatabaseSettings(url=url)), requirements=requirements):
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


async def test_an_old_postgresql_is_told(settings: Settings) -> None:
    told = await refusal(settings, settings.database.url, DatabaseRequirements(postgresql=99))
    assert re.fullmatch(r"PostgreSQL \d+ is too old; ModelGate needs PostgreSQL 99 or newer\.", told)
