"""OAuth tokens in the database, and who may renew them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import Response

from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import Components
from gateway.errors import NotFoundError
from gateway.upstream.credentials.credential import AuthorizationCode, ClientCredentials
from gateway.upstream.credentials.oauth_grant import GrantStore, OAuthClient, OAuthGrant
from tests.doubles.oauth_server import OAuthServer
from tests.support.gateway import RunningGateway
from tests.support.rows import value
from tests.support.waiting import until


@pytest.fixture
async def oauth() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().running() as server:
        yield server


def grant(token: str) -> OAuthGrant:
    return OAuthGrant(OAuthClient("https://as.example", "https://as.example/token", "id"), token, "refresh")


async def stored(parts: Components) -> tuple[int, int, GrantStore]:
    tenant = await tenant_by_slug(parts.database)
    new = ServerDefinition("Vault", "http", url="https://vault.example/mcp", credential=AuthorizationCode("id"))
    server_id = await parts.servers.add(tenant.id, new)
    store = (await parts.servers.spec(tenant.id, server_id)).grants
    assert store is not None
    return tenant.id, server_id, store


async def test_one_at_a_time_renews_a_grant(parts: Components) -> None:
    _, _, store = await stored(parts)
    order: list[str] = []
    locked = anyio.Event()

    async def second() -> None:
        await locked.wait()
        async with store.lock() as lock:
            order.append("second")
            assert await lock.load() == grant("first")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(second)
        async with store.lock() as lock:
            locked.set()
            await anyio.wait_all_tasks_blocked()
            assert await lock.save(grant("first"))
            order.append("first")
    assert order == ["first", "second"]


async def test_the_lock_of_a_process_that_died_is_free_when_its_time_is_over(parts: Components) -> None:
    _, _, store = await stored(parts)
    async with store.lock() as dead:
        async with parts.database.connection() as connection:
            await connection._connection.execute("UPDATE grant_locks SET expires_at = now() - interval '1 second'")
        async with store.lock() as alive:
            assert not await dead.save(grant("late"))
            assert await alive.save(grant("alive"))
    assert await store.load() == grant("alive")


async def test_a_new_sign_in_and_a_new_address_go_before_a_renewal_under_way(parts: Components) -> None:
    tenant_id, server_id, store = await stored(parts)
    async with store.lock() as lock:
        await store.replace(grant("signed in"))
        assert not await lock.save(grant("renewed"))
    assert await store.load() == grant("signed in")
    async with store.lock() as lock:
        moved = ServerDefinition("Vault", "http", url="https://elsewhere.example/mcp")
        await parts.servers.update(tenant_id, server_id, moved)
        assert not await lock.save(grant("renewed"))
    assert await store.load() is None


async def test_a_new_sign_in_and_a_renewal_that_is_saved_never_wait_for_each_other(parts: Components) -> None:
    tenant_id, server_id, store = await stored(parts)

    async def waits(count: int) -> bool:
        return bool(await value(parts.database.url, _WAITING) == count)

    async with store.lock() as lock, anyio.create_task_group() as tasks, parts.database.transaction() as sync:
        await sync.fetchrow("lock_server", tenant_id, server_id)
        tasks.start_soon(store.replace, grant("signed in"))
        await until(lambda: waits(1))
        tasks.start_soon(lock.save, grant("renewed"))
        await until(lambda: waits(2))
    assert await store.load() == grant("signed in")


_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_a_server_that_was_removed_has_nothing_to_lock(parts: Components) -> None:
    tenant_id, server_id, store = await stored(parts)
    await parts.servers.remove(tenant_id, server_id)
    with pytest.raises(NotFoundError):
        async with store.lock():
            pass


async def test_slow_token_endpoints_leave_the_database_to_everybody_else(
    gateway: RunningGateway, oauth: OAuthServer
) -> None:
    """More of them than the pool has connections."""
    parts = gateway.parts
    asked = anyio.Semaphore(0)
    let = anyio.Event()

    async def token(request: Request) -> Response:
        asked.release()
        await let.wait()
        return await oauth.token(request)

    oauth.answers["/as/token"] = token
    tenant = await tenant_by_slug(parts.database)
    ids = []
    for number in range(6):
        credential = ClientCredentials("machine", "s3cret/+", f"{oauth.url}/as")
        new = ServerDefinition(f"Vault {number}", "http", url=f"{oauth.url}/mcp", credential=credential)
        ids.append(await parts.servers.add(tenant.id, new))
    async with anyio.create_task_group() as tasks:
        for server_id in ids:
            tasks.start_soon(parts.sync.run, tenant.id, server_id)
        for _ in ids:
            await asked.acquire()
        assert (await gateway.call("tool_search", {"query": "anything"})).get("isError") is not True
        let.set()
    assert (await gateway.call("vault_5__secret"))["content"][0]["text"] == "for your eyes only"


async def test_a_request_while_a_pooled_connection_is_held_is_refused_in_tests(
    gateway: RunningGateway, oauth: OAuthServer
) -> None:
    parts = gateway.parts
    tenant = await tenant_by_slug(parts.database)
    new = ServerDefinition("Vault", "http", url=f"{oauth.url}/mcp", credential=AuthorizationCode("id"))
    server_id = await parts.servers.add(tenant.id, new)
    async with parts.database.transaction():
        with pytest.raises(AssertionError, match="while a connection of the database pool is held"):
            await parts.logins.begin(tenant.id, server_id, f"{gateway.url}/oauth/callback", "browser")
