"""What becomes of approvals that were given before it was kept who gave them."""

from __future__ import annotations

import shutil
from pathlib import Path

import asyncpg
import pytest

from gateway.database.migrate import migrate, migrations_folder
from tests.support.cluster import Cluster
from tests.support.rows import rows

BY_HAND = "An admin has put it here."
FOUND = "The scan found: overrides instructions."
CHANGED = "It has changed since it was approved."

# By name: the hash now and the hash approved, how many seconds after its definition was written a person approved the
# tool, why it is quarantined, and who is taken to have approved it.
CASES = {
    "on trust": ("a", "a", None, None, "policy"),
    "by a person": ("a", "a", 5, None, "person"),
    "by a rollback": ("a", "a", 0, None, "rollback"),
    "by a person once, accepted with another definition since": ("b", "b", -5, None, "policy"),
    "changed since a person approved it, or accepted and changed since": ("b", "a", -5, None, "policy"),
    "changed, and waiting for that": ("b", "a", None, CHANGED, "policy"),
    "never": ("a", None, None, CHANGED, None),
    "accepted, and quarantined by the scan": ("b", "b", -5, FOUND, None),
    "hidden by hand": ("a", "a", 5, BY_HAND, None),
    "changed and hidden by hand": ("b", "a", 5, BY_HAND, None),
}


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """The migrations before it."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    for file in sorted(migrations_folder().glob("*.sql"))[:5]:
        shutil.copy(file, folder)
    return folder


async def test_only_what_a_person_surely_approved_is_theirs(cluster: Cluster, database_url: str, earlier: Path) -> None:
    name = database_url.rpartition("/")[2] + "_earlier"
    await rows(database_url, f'CREATE DATABASE "{name}" TEMPLATE template0')
    connection = await asyncpg.connect(cluster.url(name))
    try:
        await migrate(connection, earlier)
        tenant = await connection.fetchval("SELECT id FROM tenants WHERE slug = 'default'")
        server = await connection.fetchval(
            """INSERT INTO servers (tenant_id, name, slug, transport, command) VALUES ($1, 'One', 'one', 'stdio', 'one')
               RETURNING id""",
            tenant,
        )
        for position, (name_, (now, approved, seconds, quarantine, _)) in enumerate(CASES.items()):
            await connection.execute(
                """INSERT INTO tools (tenant_id, server_id, name, exposed_name, category, definition, content_hash,
                                      approved_hash, approved_at, quarantine)
                   VALUES ($1, $2, $3, $4, 'other', '{}', $5, $6, now() + make_interval(secs => $7), $8)""",
                tenant,
                server,
                name_,
                f"one__{position}",
                now.encode(),
                None if approved is None else approved.encode(),
                seconds,
                quarantine,
            )
        await migrate(connection)
        found = await connection.fetch("SELECT name, approved_by, approved_at IS NOT NULL AS dated FROM tools")
        traced = await connection.fetchval("SELECT count(*) FROM audit_log WHERE action LIKE 'tool.%'")
    finally:
        await connection.close()
        await cluster.drop(name)
    assert {row["name"]: row["approved_by"] for row in found} == {case: rest[-1] for case, rest in CASES.items()}
    assert all(row["dated"] == (row["approved_by"] in ("person", "rollback")) for row in found)
    assert traced == 0
