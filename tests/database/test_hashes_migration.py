"""What becomes of a catalogue whose hashes were taken over the letter of its definitions."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import asyncpg
import pytest

from gateway.components import Components
from gateway.database.migrate import migrations_folder
from tests.support.listed import ListedServer, add_listed, tool
from tests.support.rows import rows

SHOWN = """SELECT name, quarantined, approved_by, approved_at, approved_hash = content_hash AS approved FROM tools
           ORDER BY name"""


def listing(order: int, text: str = "Finds") -> list[dict[str, Any]]:
    """Tools in whose definitions sets stand in one order or the other, and null where there is nothing."""
    names = ["summary", "status", "assignee"][::order]
    schema = {
        "type": "object",
        "required": ["a", "b"][::order],
        "properties": {
            "a": {"type": "string", "default": ",".join(names)},
            "b": {"enum": names, "anyOf": [{"type": "string"}, {"type": "null"}][::order]},
        },
    }
    odd = {**tool("odd", "Is odd"), "annotations": None, "outputSchema": {"type": "array"}}
    return [{"name": "find", "description": text, "inputSchema": schema}, tool("plain", "Is plain"), odd]


@pytest.fixture
def migration() -> ModuleType:
    path = migrations_folder() / "0013_canonical_hashes.py"
    spec = importlib.util.spec_from_file_location("migration", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hash_of_letters(definition: dict[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).digest()


async def go_back(url: str, definitions: list[dict[str, Any]]) -> None:
    """Have the database as it was: definitions as they were listed, hashed by their letters."""
    connection = await asyncpg.connect(url)
    try:
        # Neither traced nor held to its references meanwhile.
        await connection.execute("SET session_replication_role = replica")
        for row in await connection.fetch(
            """SELECT content_hash, definition::text AS d FROM tools
               UNION SELECT content_hash, definition::text FROM tool_definitions"""
        ):
            stored = json.loads(row["d"])
            raw = next((each for each in definitions if each["name"] == stored["name"]), stored)
            raw = {**raw, "description": stored["description"]}
            old, new, text = row["content_hash"], hash_of_letters(raw), json.dumps(raw)
            await connection.execute("UPDATE tools SET approved_hash = $2 WHERE approved_hash = $1", old, new)
            await connection.execute(
                "UPDATE server_version_tools SET content_hash = $2 WHERE content_hash = $1", old, new
            )
            for table in ("tools", "tool_definitions"):
                await connection.execute(
                    f"UPDATE {table} SET content_hash = $2, definition = $3::text::json WHERE content_hash = $1",
                    old,
                    new,
                    text,
                )
    finally:
        await connection.close()


async def migrate_again(url: str, migration: ModuleType) -> None:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await migration.migrate(connection)
    finally:
        await connection.close()


@pytest.fixture
async def server(parts: Components, tmp_path: Path) -> ListedServer:
    """A server whose tools are quarantined when they change, all of them approved by a person."""
    server = await add_listed(parts, tmp_path, *listing(1))
    await rows(parts.database.url, "UPDATE servers SET on_change = 'quarantine'")
    await rows(
        parts.database.url, "UPDATE tools SET approved_hash = content_hash, approved_by = 'person', approved_at = now()"
    )
    return server


async def test_the_first_sync_afterwards_changes_flags_and_quarantines_nothing(
    server: ListedServer, migration: ModuleType
) -> None:
    url = server.parts.database.url
    await go_back(url, listing(1))
    before = await rows(url, SHOWN)
    traced = await rows(url, "SELECT count(*) AS n FROM audit_log WHERE action LIKE 'tool.%'")
    await migrate_again(url, migration)
    assert await rows(url, SHOWN) == before
    server.lists(*listing(-1))
    result = await server.sync()
    assert (result.added, result.changed, result.removed, result.unchanged) == ((), (), (), 3)
    assert (result.version, result.quarantined, result.embedded) == (None, (), 0)
    assert await rows(url, SHOWN) == before
    assert await rows(url, "SELECT count(*) AS n FROM audit_log WHERE action LIKE 'tool.%'") == traced
    assert [row["annotations"] for row in await rows(url, "SELECT annotations FROM tools WHERE name = 'odd'")] == [None]
    (odd,) = await rows(url, "SELECT definition::text AS d FROM tools WHERE name = 'odd'")
    assert not {"annotations", "outputSchema"} & json.loads(odd["d"]).keys()


async def test_without_it_a_random_order_would_be_a_change(server: ListedServer) -> None:
    await go_back(server.parts.database.url, listing(1))
    server.lists(*listing(-1))
    assert "find" in (await server.sync()).changed


async def test_a_tool_that_had_changed_since_it_was_approved_still_has(
    server: ListedServer, migration: ModuleType
) -> None:
    url = server.parts.database.url
    server.lists(*listing(1, "Finds other things"))
    assert (await server.sync()).quarantined == ("find",)
    await go_back(url, listing(1))
    before = await rows(url, SHOWN)
    assert [row["approved"] for row in before] == [False, True, True]
    await migrate_again(url, migration)
    assert await rows(url, SHOWN) == before
    found = await rows(
        url,
        """SELECT d.definition ->> 'description' AS text FROM tools t JOIN tool_definitions d
           ON d.server_id = t.server_id AND d.content_hash = t.approved_hash WHERE t.name = 'find'""",
    )
    assert [row["text"] for row in found] == ["Finds"]
    server.lists(*listing(-1))
    assert (await server.sync()).changed == ("find",)
    assert all(row["approved"] for row in await rows(url, SHOWN))


async def test_versions_can_be_gone_back_to(server: ListedServer, migration: ModuleType) -> None:
    url = server.parts.database.url
    server.lists(*listing(1, "Finds other things"))
    await server.sync()
    await go_back(url, listing(1))
    await migrate_again(url, migration)
    restored = await server.parts.sync.restore(server.tenant_id, server.id, 1)
    assert restored.changed == ("find",)
    assert [row["description"] for row in await rows(url, "SELECT description FROM tools WHERE name = 'find'")] == [
        "Finds"
    ]


async def test_it_may_run_twice(server: ListedServer, migration: ModuleType) -> None:
    url = server.parts.database.url
    await migrate_again(url, migration)
    before = await rows(url, "SELECT content_hash, definition::text FROM tool_definitions ORDER BY content_hash")
    await migrate_again(url, migration)
    assert (
        await rows(url, "SELECT content_hash, definition::text FROM tool_definitions ORDER BY content_hash") == before
    )
