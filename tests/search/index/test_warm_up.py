"""Which tenants are in memory before anybody has searched, and what becomes of the others."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gateway.access.tenants import create_tenant
from gateway.components import Components
from gateway.database.notices import Notices
from gateway.search.index.memory_index import MemoryIndex
from gateway.search.index.warm_up import WarmUp
from tests.support.catalogue import direct_connection
from tests.support.gateway import add_local_mcp, running_gateway
from tests.support.indexed_catalogue import MIB, TENANT, CataloguedTool, IndexedCatalogue
from tests.support.rows import rows
from tests.support.waiting import until


async def _use_key(catalogue: IndexedCatalogue, tenant_id: int, days_ago: int) -> None:
    """A key of the tenant that was used last so many days ago."""
    async with direct_connection(catalogue.database) as connection:
        await connection.execute(
            "INSERT INTO api_keys (tenant_id, name, hash, hint, last_used_at) "
            "VALUES ($1, 'key', $2, 'mg_', now() - make_interval(days => $3))",
            *(tenant_id, hashlib.sha256(str(tenant_id).encode()).digest(), days_ago),
        )


async def _add_tenant(catalogue: IndexedCatalogue, slug: str, tools: int = 1) -> int:
    tenant_id = (await create_tenant(catalogue.database, slug)).id
    named = (CataloguedTool(slug, f"feed_cat_{number}") for number in range(tools))
    await catalogue.upsert(*named, tenant_id=tenant_id)
    return tenant_id


async def _warmed_up(catalogue: IndexedCatalogue, max_bytes: int = 64 * MIB) -> MemoryIndex:
    """The index of a process that has just started."""
    index = catalogue.memory(Notices(catalogue.database), max_bytes)
    await WarmUp(catalogue.database, catalogue.spaces, index, max_bytes).run()
    return index


async def test_tenants_that_were_used_lately_are_there_and_no_others(catalogue: IndexedCatalogue) -> None:
    await catalogue.upsert(CataloguedTool("farm", "feed_cat"))
    earlier, long_ago, never = [await _add_tenant(catalogue, slug) for slug in ("earlier", "long-ago", "never")]
    for tenant_id, days_ago in ((earlier, 3), (TENANT, 0), (long_ago, 30)):
        await _use_key(catalogue, tenant_id, days_ago)
    index = await _warmed_up(catalogue)
    assert list(index.tenant_ids) == [TENANT, earlier]
    assert never not in index.tenant_ids


async def test_what_has_no_room_beside_the_others_is_left_out(catalogue: IndexedCatalogue) -> None:
    await catalogue.upsert(CataloguedTool("farm", "feed_cat"))
    large, small = await _add_tenant(catalogue, "large", tools=50), await _add_tenant(catalogue, "small")
    for days_ago, tenant_id in enumerate((TENANT, large, small)):
        await _use_key(catalogue, tenant_id, days_ago)
    index = await _warmed_up(catalogue, 100_000)
    assert list(index.tenant_ids) == [TENANT, small]
    assert index.size_bytes <= 100_000


async def test_a_tenant_that_turns_out_too_large_keeps_no_other_from_it(catalogue: IndexedCatalogue) -> None:
    await catalogue.upsert(*(CataloguedTool("farm", f"feed_{number}", "cat " * 5_000) for number in range(10)))
    small = await _add_tenant(catalogue, "small")
    for days_ago, tenant_id in enumerate((TENANT, small)):
        await _use_key(catalogue, tenant_id, days_ago)
    # It is expected to fit, and turns out to be far larger.
    index = await _warmed_up(catalogue, 60_000)
    assert index.tools == 1
    assert set(index.tenants_in_database) == {TENANT}


async def test_after_a_start_the_first_search_finds_the_index_there(parts: Components, tmp_path: Path) -> None:
    await add_local_mcp(parts, tmp_path)
    await parts.keys.create(TENANT, "used", ["all"])
    await rows(parts.database.url, "UPDATE api_keys SET last_used_at = now()")
    assert parts.index.tools == 0
    async with running_gateway(parts):
        await until(lambda: parts.index.tools == 4)
