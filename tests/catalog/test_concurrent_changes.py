"""Whatever changes one tenant's catalogue at the same moment."""

from __future__ import annotations

import ast
import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.access.caller import Limits
from gateway.access.roles import create_role, delete_role
from gateway.access.rules import set_rule
from gateway.catalog.overrides.tool_overrides import ToolOverrides
from gateway.catalog.overrides.tool_switch import set_tool_enabled
from gateway.catalog.review.approval import Approvals
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.catalog.tool_override import ToolOverride
from gateway.components import Components
from gateway.database.pool import open_database
from gateway.errors import ConflictError, NotFoundError
from gateway.settings import Settings
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.listed import add_listed, tool
from tests.support.rows import rows, value

ROUNDS = 25
GATEWAY = Path(__file__).parents[2] / "gateway"
# What is told of the catalogue, and what locks a part of it.
CHANGES = {
    "bump_catalogue_version",
    "delete_key_roles",
    "insert_key_roles",
    "lock_server",
    "lock_unchanged_tools",
    "touch_learning",
}


async def test_changes_at_the_same_moment_wait_for_each_other_and_never_in_a_circle(
    served: Components, embedder: EmbeddingServer, tmp_path: Path
) -> None:
    database, draw = served.database, random.Random(5)
    servers = [await add_listed(served, tmp_path, tool("one"), tool("two"), name=f"S{n}") for n in range(2)]
    tenant_id = servers[0].tenant_id
    overrides, approvals = ToolOverrides(database, served.spaces), Approvals(database)
    filler = VectorFiller(database, served.spaces, served.categories)
    before = await _deadlocks(served)

    async def any_tool() -> int:
        found = await rows(database.url, "SELECT id FROM tools WHERE removed_at IS NULL ORDER BY random() LIMIT 1")
        return int(found[0]["id"])

    async def sync() -> None:
        server = draw.choice(servers)
        server.lists(*(tool(name, f"What {name} does, {draw.random()}") for name in ("one", "two", "three")))
        await server.sync()

    async def refill() -> None:
        await database.execute(
            "drop_embeddings", tenant_id, (await served.spaces.active_space()).id, [await any_tool()]
        )
        await filler.fill()

    async def override() -> None:
        await overrides.set(tenant_id, await any_tool(), ToolOverride(description=f"Otherwise, {draw.random()}"))

    async def switch() -> None:
        await set_tool_enabled(database, tenant_id, await any_tool(), enabled=draw.random() < 0.5)

    async def approve() -> None:
        await approvals.quarantine(tenant_id, servers[0].id, "one")
        await approvals.approve(tenant_id, servers[0].id)

    async def rule() -> None:
        role = await create_role(database, tenant_id, f"role{draw.random()}")
        await set_rule(database, tenant_id, role.id, "SEARCH", server_id=draw.choice(servers).id)
        await delete_role(database, tenant_id, role.id)

    async def key() -> None:
        kept, passing = [await create_role(database, tenant_id, f"role{draw.random()}") for _ in range(2)]
        made = await served.keys.create(tenant_id, "key", [kept.name, passing.name])

        async def update() -> None:
            await served.keys.update(
                tenant_id,
                made.id,
                name="changed",
                roles=[kept.name, passing.name],
                expires_at=None,
                note="",
                limits=Limits(),
            )

        await asyncio.gather(update(), update(), delete_role(database, tenant_id, passing.id), return_exceptions=True)
        await served.keys.rotate(tenant_id, made.id)

    async def server() -> None:
        added = await served.servers.add(
            tenant_id, ServerDefinition(f"Passing {draw.random()}", "http", url="http://127.0.0.1:9/mcp")
        )
        await served.servers.set_enabled(tenant_id, added, False)
        await served.servers.remove(tenant_id, added)

    async def example() -> None:
        tool_id = await any_tool()
        example_id = await served.examples.add(tenant_id, tool_id, f"what it does at {draw.random()}")
        await served.learner.refresh(tenant_id, tool_id)
        await served.examples.remove(tenant_id, tool_id, example_id)

    async def go_on(change: Callable[[], Awaitable[None]]) -> None:
        for _ in range(ROUNDS):
            try:
                await change()
            except (ConflictError, NotFoundError):
                # Another change came first, and it is said so.
                continue

    await asyncio.gather(
        *map(go_on, (sync, sync, refill, refill, override, switch, approve, rule, key, server, example))
    )
    assert await _deadlocks(served) == before


async def _deadlocks(parts: Components) -> int:
    """How many PostgreSQL has ended so far, once its sessions have told what they counted."""
    await asyncio.sleep(1.1)
    return int(
        await value(parts.database.url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    )


async def test_a_second_change_of_a_tenant_waits_and_one_of_another_does_not(served: Components) -> None:
    database = served.database
    first, second = [row["id"] for row in await rows(database.url, _TWO_TENANTS)]
    order = []

    async def change(tenant_id: int) -> None:
        async with database.tenant_transaction(tenant_id):
            order.append(tenant_id)

    async with database.tenant_transaction(first):
        waiting = asyncio.create_task(change(first))
        await change(second)
        assert order == [second]
    await waiting
    assert order == [second, first]


async def test_changes_that_wait_for_another_of_their_tenant_keep_no_connection_from_others(
    settings: Settings,
) -> None:
    async with open_database(settings, size=4) as database:
        first, second = [row["id"] for row in await rows(database.url, _TWO_TENANTS)]

        async def change() -> None:
            async with database.tenant_transaction(first):
                pass

        async with database.tenant_transaction(first):
            waiting = [asyncio.create_task(change()) for _ in range(10)]
            await asyncio.sleep(0)
            assert await database.fetchval("catalogue_version", second) is not None
        await asyncio.gather(*waiting)


_TWO_TENANTS = """
    WITH added AS (
        INSERT INTO tenants (slug, name) SELECT 'tenant-' || gen_random_uuid(), 'Tenant' FROM generate_series(1, 2)
        RETURNING id
    ) SELECT id FROM added
"""


def test_what_changes_a_catalogue_locks_the_tenant_before_all_else() -> None:
    wrong = []
    for path in GATEWAY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.AsyncWith) or path.name == "pool.py":
                continue
            opened = {ast.unparse(item.context_expr).rpartition(".")[2] for item in node.items}
            said = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
            calls = {ast.unparse(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)}
            if "transaction()" in opened and (said & CHANGES or "refresh_visibility" in calls):
                wrong.append(f"{path.relative_to(GATEWAY)}:{node.lineno}")
    assert wrong == []
