"""What is kept between two notices of changes, and what is not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database, open_database
from gateway.settings import Settings
from tests.support.database_proxy import DatabaseProxy
from tests.support.waiting import until


class Reader:
    """Counts how often it was read; each read gives another value."""

    def __init__(self) -> None:
        self.reads = 0

    async def __call__(self) -> int:
        self.reads += 1
        return self.reads


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with open_database(settings, size=2) as opened:
        yield opened


@pytest.fixture
async def notices(database: Database) -> AsyncIterator[Notices]:
    listener = Notices(database)
    async with listener.listening():
        yield listener


async def test_a_value_is_read_once_until_its_tenant_changes(database: Database, notices: Notices) -> None:
    cache: NotifiedCache[str, int] = NotifiedCache(notices)
    read = Reader()
    assert [await cache.get(1, "a", read) for _ in range(3)] == [1, 1, 1]
    assert cache.peek(1, "a") == 1
    await database.execute("bump_catalogue_version", 1)
    assert cache.peek(1, "a") is None
    assert await cache.get(1, "a", read) == 2


async def test_a_change_elsewhere_drops_its_own_tenant_and_what_is_of_no_tenant(
    settings: Settings, notices: Notices
) -> None:
    cache: NotifiedCache[str, int] = NotifiedCache(notices)
    for tenant_id in (1, 2, None):
        await cache.get(tenant_id, "a", Reader())
    async with open_database(settings, size=1) as other:
        await other.execute("bump_catalogue_version", 1)
    await until(lambda: cache.peek(1, "a") is None)
    assert (cache.peek(2, "a"), cache.peek(None, "a")) == (1, None)


async def test_what_changed_while_it_was_read_is_not_kept(database: Database, notices: Notices) -> None:
    cache: NotifiedCache[str, int] = NotifiedCache(notices)

    async def read() -> int:
        await database.execute("bump_catalogue_version", 1)
        return 7

    assert await cache.get(1, "a", read) == 7
    assert cache.peek(1, "a") is None


async def test_nothing_is_kept_while_the_listener_cannot_reconnect(database: Database) -> None:
    proxy = DatabaseProxy(database)
    async with proxy.running():
        notices = Notices(proxy.database)
        cache: NotifiedCache[str, int] = NotifiedCache(notices)
        read = Reader()
        assert [await cache.get(1, "a", read) for _ in range(2)] == [1, 2]
        async with notices.listening():
            assert [await cache.get(1, "a", read) for _ in range(2)] == [3, 3]
            proxy.close()
            await until(lambda: not notices.connected)
            assert [await cache.get(1, "a", read) for _ in range(2)] == [4, 5]
            proxy.open()
            await until(lambda: notices.connected)
            assert [await cache.get(1, "a", read) for _ in range(2)] == [6, 6]


async def test_what_was_read_before_the_listener_stood_is_not_kept(database: Database) -> None:
    notices = Notices(database)
    cache: NotifiedCache[str, int] = NotifiedCache(notices)
    listening = notices.listening()

    async def read() -> int:
        await listening.__aenter__()
        return 7

    try:
        assert await cache.get(1, "a", read) == 7
        assert notices.connected
        assert cache.peek(1, "a") is None
    finally:
        await listening.__aexit__(None, None, None)


async def test_a_full_cache_drops_what_was_used_longest_ago(database: Database, notices: Notices) -> None:
    cache: NotifiedCache[int, int] = NotifiedCache(notices, maximum=3)
    for key in (1, 2, 3):
        await cache.get(key % 2, key, Reader())
    await cache.get(1, 1, Reader())
    await cache.get(0, 4, Reader())
    kept = {key for tenant_id, key in ((1, 1), (0, 2), (1, 3), (0, 4)) if cache.peek(tenant_id, key) is not None}
    assert (kept, len(cache)) == ({1, 3, 4}, 3)
    await database.execute("bump_catalogue_version", 1)
    assert len(cache) == 0
    await cache.get(0, 2, Reader())
    assert cache.peek(0, 2) == 1


async def test_values_are_kept_by_their_size_where_that_is_told(notices: Notices) -> None:
    async def read(size: int) -> str:
        return "x" * size

    cache: NotifiedCache[int, str] = NotifiedCache(notices, maximum=10, size_of=len)
    for key, size in enumerate((4, 5, 11, 4)):
        assert len(await cache.get(1, key, lambda size=size: read(size))) == size  # type: ignore[misc]
    assert [cache.peek(1, key) is not None for key in range(4)] == [False, True, False, True]


async def test_none_is_never_kept(notices: Notices) -> None:
    cache: NotifiedCache[str, int | None] = NotifiedCache(notices)
    reads = 0

    async def read() -> None:
        nonlocal reads
        reads += 1

    for _ in range(2):
        assert await cache.get(1, "a", read) is None
    assert reads == 2


async def test_without_notices_every_value_is_read() -> None:
    cache: NotifiedCache[str, int] = NotifiedCache(None)
    read = Reader()
    assert [await cache.get(1, "a", read) for _ in range(2)] == [1, 2]
