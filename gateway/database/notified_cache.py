"""Values read from the database, kept until it says that they may have changed."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from gateway.database.notices import Notices

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_MAXIMUM = 20_000


class NotifiedCache(Generic[K, V]):
    """Values by tenant and key. While notices of changes do not come in nothing is kept, and every value is read.

    Under the tenant None are values of which it is not known beforehand whose they are: any change drops them.
    """

    def __init__(self, notices: Notices | None, maximum: int = _MAXIMUM) -> None:
        """At most `maximum` values are kept; beyond that they are all dropped and read again when asked for.

        Without `notices` nothing is ever kept.
        """
        self._notices = notices
        self._maximum = maximum
        self._values: dict[int | None, dict[K, V]] = {}
        self._count = 0
        self._generation = 0
        if notices is not None:
            notices.subscribe(self._on_notice)

    @property
    def _trusted(self) -> bool:
        return self._notices is not None and self._notices.connected

    def peek(self, tenant_id: int | None, key: K) -> V | None:
        """The value, where it is kept."""
        values = self._values.get(tenant_id)
        return values.get(key) if values is not None and self._trusted else None

    async def get(self, tenant_id: int | None, key: K, read: Callable[[], Awaitable[V]]) -> V:
        """The value kept, else what `read` returns; raises what `read` raises. None is never kept."""
        found = self.peek(tenant_id, key)
        if found is not None:
            return found
        generation = self._generation
        value = await read()
        # What changed while it was read may not be in it.
        if value is not None and self._trusted and generation == self._generation:
            if self._count >= self._maximum:
                self._drop(None)
            self._values.setdefault(tenant_id, {})[key] = value
            self._count += 1
        return value

    def _on_notice(self, payload: str) -> None:
        self._generation += 1
        self._drop(json.loads(payload).get("tenant") if payload else None)

    def _drop(self, tenant_id: int | None) -> None:
        if tenant_id is None:
            self._values.clear()
            self._count = 0
            return
        for dropped in (tenant_id, None):
            self._count -= len(self._values.pop(dropped, ()))
