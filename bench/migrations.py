"""How long migrations keep searches, calls and syncs waiting, on a catalogue that is there.

    python -m bench.migrations [--from 13] [--tools 100000] [--calls 500000]

On an embedded PostgreSQL of its own, brought to the schema of migration `--from` (5 is that of version 0.1) and filled
with so many tools with vectors of 384 dimensions, three roles that see them all, and so many calls in the trace. Then
each later migration is applied as a gateway does it, by another process, while what gateways do goes on all the time:
tools, vectors, rights and keys are read, and written row by row, and calls are written to the trace. The table has for
each migration how long it took, and the longest that any of these took meanwhile, with which that was; the first line
is what they take while nothing is migrated. Those that took less than `--over` milliseconds are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from bench.figures import Figure, record
from gateway.database.embedded import EmbeddedServer
from gateway.database.migrate import Migration, migrate, migrations_folder, read_migrations

DIMENSIONS = 384
_PAUSE_SECONDS = 0.002
_QUIET_SECONDS = 2.0

# What gateways do all the time, by what it is; $1 is a number of a tool. In the words of the first version.
USES = {
    "read a tool": "SELECT name, definition FROM tools WHERE tenant_id = 1 AND id = $1",
    "write a tool": "UPDATE tools SET term_count = term_count + 1 WHERE tenant_id = 1 AND id = $1",
    "read vectors": "SELECT combined_embedding FROM tool_embeddings WHERE tenant_id = 1 AND tool_id = $1",
    "write vectors": "UPDATE tool_embeddings SET text_hash = 'x' WHERE tenant_id = 1 AND tool_id = $1",
    "read rights": "SELECT visibility FROM role_tools WHERE tenant_id = 1 AND tool_id = $1",
    "read a key": (
        "SELECT k.name, r.name FROM api_keys k JOIN api_key_roles x ON (x.tenant_id, x.key_id) = (k.tenant_id, k.id) "
        "JOIN roles r ON (r.tenant_id, r.id) = (x.tenant_id, x.role_id) WHERE k.id <> -$1::bigint"
    ),
    "write a key": "UPDATE api_keys SET last_used_at = now() WHERE tenant_id = 1 AND id <> -$1::bigint",
    "write a server": "UPDATE servers SET synced_at = now() WHERE tenant_id = 1 AND id <> -$1::bigint",
    "write a call": (
        "INSERT INTO tool_calls (tenant_id, at, kind, key_id, key_name, roles, address, tool_id, target, outcome, "
        "duration_ms) VALUES (1, now(), 'call', 1, 'k', '{}', '', $1, 'tool', 'ok', 1)"
    ),
}

FILLING = (
    "INSERT INTO servers (tenant_id, name, slug, transport, url) "
    "SELECT 1, 'Server ' || n, 'server-' || n, 'http', 'http://127.0.0.1:9/mcp' FROM generate_series(1, 100) n",
    # In bulk, and without the trace of each row.
    "SET session_replication_role = replica",
    """INSERT INTO tools (tenant_id, server_id, name, exposed_name, category, definition, content_hash, position)
       SELECT 1, 1 + n % 100, 'tool_' || n, 'server__tool_' || n, 'other',
              json_build_object('name', 'tool_' || n, 'description', repeat(md5(n::text) || ' ', 12), 'inputSchema',
                                json_build_object('type', 'object', 'title', repeat(md5((-n)::text) || ' ', 20))),
              sha256(n::text::bytea), n
       FROM generate_series(1, {tools}) n""",
    """INSERT INTO embedding_spaces (key, provider, model, dimensions, document_prefix, query_prefix, active)
       VALUES ('k', 'p', 'm', {dimensions}, '', '', true)""",
    """CREATE TEMPORARY TABLE vectors AS
       SELECT v, array_agg(random() - 0.5)::vector::halfvec AS vector
       FROM generate_series(0, 499) v, generate_series(1, {dimensions}) d GROUP BY v""",
    """INSERT INTO tool_embeddings (tenant_id, tool_id, space_id, text_hash, name_embedding, description_embedding,
                                    combined_embedding)
       SELECT 1, t.id, 1, '', a.vector, b.vector, c.vector
       FROM tools t JOIN vectors a ON a.v = t.id % 500 JOIN vectors b ON b.v = t.id / 500 % 500
       JOIN vectors c ON c.v = t.id / 7 % 500""",
    "INSERT INTO roles (tenant_id, name, default_visibility) VALUES (1, 'a', 'ALLOW'), (1, 'b', 'ALLOW')",
    """INSERT INTO role_tools (tenant_id, role_id, tool_id, visibility, denied_explicitly)
       SELECT 1, r.id, t.id, 'ALLOW', false FROM roles r, tools t""",
    """INSERT INTO api_keys (tenant_id, name, hash, hint) SELECT 1, 'key ' || n, sha256(n::text::bytea), 'h'
       FROM generate_series(1, 20) n""",
    "INSERT INTO api_key_roles (tenant_id, key_id, role_id) SELECT 1, id, 1 FROM api_keys",
    """INSERT INTO tool_calls (tenant_id, at, kind, key_id, key_name, roles, address, server_id, tool_id, target,
                               outcome, duration_ms)
       SELECT 1, now(), 'call', 1 + n % 20, 'k', '{{}}', '', 1 + n % 100, 1 + n % {tools}, 'tool', 'ok', 1
       FROM generate_series(1, {calls}) n""",
    "SET session_replication_role = DEFAULT",
)


@dataclass(frozen=True, slots=True)
class Use:
    """Something that was done between two moments of the system's monotonic clock, in seconds."""

    name: str
    begun: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.begun


class Users:
    """Connections on which everything of USES is done over and over; `uses` has when."""

    def __init__(self, url: str, tools: int) -> None:
        self._url = url
        self._tools = tools
        self._is_over = False
        self.uses: list[Use] = []

    async def run(self) -> None:
        """Until `stop`."""
        await asyncio.gather(*(self._repeat(name, sql) for name, sql in USES.items()))

    def stop(self) -> None:
        self._is_over = True

    def longest(self, begun: float, ended: float) -> Use:
        """What took longest of all that was under way between two moments."""
        return max((use for use in self.uses if use.ended >= begun and use.begun <= ended), key=lambda use: use.seconds)

    async def _repeat(self, name: str, sql: str) -> None:
        connection = await asyncpg.connect(self._url, statement_cache_size=0)
        number = 0
        try:
            while not self._is_over:
                number = number * 31 % self._tools + 1
                begun = time.monotonic()
                await connection.execute(sql, number)
                self.uses.append(Use(name, begun, time.monotonic()))
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            await connection.close()


def folder_up_to(migration: Migration, into: Path) -> Path:
    """A folder with all migrations up to this one."""
    folder = into / migration.name
    folder.mkdir()
    for each in read_migrations(migrations_folder())[: migration.number]:
        shutil.copy(each.path, folder)
    return folder


def apply(url: str, folder: Path) -> tuple[float, float]:
    """Apply what a folder has more than the database, as a gateway does; when it began and ended."""

    async def work() -> tuple[float, float]:
        connection = await asyncpg.connect(url)
        try:
            begun = time.monotonic()
            await migrate(connection, folder)
            return begun, time.monotonic()
        finally:
            await connection.close()

    return asyncio.run(work())


async def fill(url: str, tools: int, calls: int) -> None:
    """Store the catalogue that is migrated, in the schema of any version from 0.1 on."""
    connection = await asyncpg.connect(url)
    try:
        for sql in FILLING:
            await connection.execute(sql.format(tools=tools, calls=calls, dimensions=DIMENSIONS))
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


async def measure(url: str, first: int, tools: int, calls: int, over_ms: float, folder: Path) -> None:
    """Print the table, and leave its figures."""
    migrations = read_migrations(migrations_folder())
    loop = asyncio.get_running_loop()
    # What runs in this process would keep the users from running.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        await loop.run_in_executor(other, apply, url, folder_up_to(migrations[first - 1], folder))
        begun = time.monotonic()
        await fill(url, tools, calls)
        print(f"{tools} tools and {calls} calls, filled in {time.monotonic() - begun:.0f} s\n")
        print("migration                             takes, ms   longest wait, ms")
        users = Users(url, tools)
        using = asyncio.create_task(users.run())
        quiet = time.monotonic()
        await asyncio.sleep(_QUIET_SECONDS)
        _print("(none)", _QUIET_SECONDS, users.longest(quiet, time.monotonic()))
        waits: list[tuple[str, Use]] = []
        for migration in migrations[first:]:
            begun, ended = await loop.run_in_executor(other, apply, url, folder_up_to(migration, folder))
            # What waited has ended by now, too.
            await asyncio.sleep(0.2)
            longest = users.longest(begun, ended)
            waits.append((migration.name, longest))
            if max(longest.seconds, ended - begun) * 1000 >= over_ms:
                _print(migration.name, ended - begun, longest)
        users.stop()
        await using
    _leave(waits, tools)


def _print(name: str, seconds: float, longest: Use) -> None:
    print(f"{name:36} {seconds * 1000:10.0f} {longest.seconds * 1000:18.0f}  {longest.name}", flush=True)


def _leave(waits: Sequence[tuple[str, Use]], tools: int) -> None:
    name, longest = max(waits, key=lambda wait: wait[1].seconds)
    record(Figure("Migrations", f"longest wait ({name})", "ms", longest.seconds * 1000, "ms", tools, 1000))


def main() -> None:
    """Measure on a server of its own, which is gone afterwards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", type=int, default=13, dest="first")
    parser.add_argument("--tools", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=500_000)
    parser.add_argument("--over", type=float, default=0.0)
    options: Any = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as folder:
        server = EmbeddedServer(Path(folder))
        url = server.start()
        try:
            asyncio.run(measure(url, options.first, options.tools, options.calls, options.over, Path(folder)))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
