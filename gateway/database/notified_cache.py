"""Values read from the database, kept until it says that they may have changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from cachetools import LRUCache

from gateway.database.notices import Notice, Notices

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_MAXIMUM = 20_000


class NotifiedCache(Generic[K, V]):
    """Values by tenant and key. While notices of changes do not come in nothing is kept, and every value is read.

    Under the tenant None are values of which it is not known beforehand whose they are: any change drops them.
    """

    def __init__(
        self,
        notices: Notices | None,
        maximum: int = _MAXIMUM,
        *,
        key_of_person: Callable[[int, int | None], K | None] | None = None,
        size_of: Callable[[V], int] | None = None,
    ) -> None:
        """Of more than `maximum` values those that were used longest ago are dropped; with `size_of` that is the most
        that their sizes may come to, and a value that is larger by itself is not kept.

        Without `notices` nothing is ever kept. What a person connects at a server changes one value at most: that at
        the `key_of_person` and server, or any of the tenant where that is None.
        """
        self._notices = notices
        self._key_of_person = key_of_person
        self._maximum = maximum
        self._size_of = size_of
        self._values: _TenantLRU[K, V] = _TenantLRU(maximum, size_of)
        self._generation = 0
        if notices is not None:
            notices.subscribe(self._on_notice)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def is_trusted(self) -> bool:
        """Whether notices come in, so that what is kept holds."""
        return self._notices is not None and self._notices.connected

    def peek(self, tenant_id: int | None, key: K) -> V | None:
        """The value, where it is kept."""
        return self._values.get((tenant_id, key)) if self.is_trusted else None

    async def get(self, tenant_id: int | None, key: K, read: Callable[[], Awaitable[V]]) -> V:
        """The value kept, else what `read` returns; raises what `read` raises. None is never kept."""
        found = self.peek(tenant_id, key)
        if found is not None:
            return found
        generation = self._generation
        value = await read()
        # What changed while it was read may not be in it.
        if value is None or (self._size_of is not None and self._size_of(value) > self._maximum):
            return value
        if self.is_trusted and generation == self._generation:
            self._values[tenant_id, key] = value
        return value

    def forget(self, tenant_id: int) -> None:
        """Read anew what is kept of a tenant: it was changed here, and the notice of that is still on its way."""
        self._on_notice(Notice(tenant_id))

    def discard(self, tenant_id: int, key: K) -> None:
        """Read one value anew."""
        self._generation += 1
        self._values.pop((tenant_id, key), None)

    def _on_notice(self, notice: Notice) -> None:
        if notice.tenant_id is not None and notice.person_id is not None:
            if self._key_of_person is None:
                return
            key = self._key_of_person(notice.person_id, notice.server_id)
            if key is not None:
                self.discard(notice.tenant_id, key)
                return
        self._generation += 1
        if notice.tenant_id is None:
            self._values.clear()
        else:
            self._values.drop(notice.tenant_id)
            self._values.drop(None)


class _TenantLRU(LRUCache[tuple["int | None", K], V]):
    """Knows the keys of each tenant, for a full cache is too long to go through at each notice."""

    def __init__(self, maximum: int, size_of: Callable[[V], int] | None) -> None:
        super().__init__(maximum, size_of)
        self._keys: dict[int | None, set[K]] = {}

    def drop(self, tenant_id: int | None) -> None:
        for key in tuple(self._keys.get(tenant_id, ())):
            del self[tenant_id, key]

    def clear(self) -> None:
        super().clear()
        self._keys.clear()

    def __setitem__(self, place: tuple[int | None, K], value: V) -> None:
        super().__setitem__(place, value)
        tenant_id, key = place
        self._keys.setdefault(tenant_id, set()).add(key)

    def __delitem__(self, place: tuple[int | None, K]) -> None:
        super().__delitem__(place)
        tenant_id, key = place
        keys = self._keys[tenant_id]
        keys.discard(key)
        if not keys:
            del self._keys[tenant_id]
