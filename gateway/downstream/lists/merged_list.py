"""What several servers list, made one list for each set of roles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from cachetools import LRUCache

from gateway.access.caller import Caller
from gateway.downstream.lists.list_snapshot import Kind
from gateway.downstream.lists.offerings import Offerings, OfferingServer
from gateway.downstream.pagination import PagedList
from gateway.downstream.uri import scheme_of

_KEPT_LISTS = 500

Listed: TypeAlias = "list[tuple[OfferingServer, tuple[dict[str, Any], ...]]]"
"""What each server lists, oldest server first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An item of a merged list: `shown` is its name there, `own` the name that the server `server_id` knows."""

    shown: str
    server_id: int
    own: str
    item: Mapping[str, Any]


Merge: TypeAlias = Callable[[Listed], Sequence[Entry]]
"""Gives every item a name that no other has, in the order of the list."""


@dataclass(frozen=True)
class Merged:
    """A merged list, with server and own name of each item by the name that is shown."""

    listed: Listed
    pages: PagedList
    origins: Mapping[str, tuple[int, str]]

    @cached_property
    def schemes(self) -> frozenset[tuple[int, str]]:
        """Servers, each with the scheme of an address that it lists."""
        return frozenset((server_id, scheme_of(own)) for server_id, own in self.origins.values())


class MergedLists:
    """Lists of one kind, each kept until something that it was made of is different."""

    def __init__(self, offerings: Offerings, kind: Kind, field: str, merge: Merge) -> None:
        """`field` of an item is its name."""
        self._offerings = offerings
        self._kind = kind
        self._field = field
        self._merge = merge
        self._kept: LRUCache[tuple[int, tuple[int, ...]], Merged] = LRUCache(_KEPT_LISTS)

    async def get(self, caller: Caller) -> Merged:
        """The list that callers with these roles are shown."""
        listed = await self._offerings.all(caller, self._kind)
        roles = (caller.tenant_id, caller.role_ids)
        kept = self._kept.get(roles)
        if kept is not None and _same(kept.listed, listed):
            return kept
        entries = self._merge(listed)
        items = [{**entry.item, self._field: entry.shown} for entry in entries]
        merged = Merged(
            listed,
            PagedList(self._kind, self._field, items),
            {entry.shown: (entry.server_id, entry.own) for entry in entries},
        )
        self._kept[roles] = merged
        return merged


def _same(one: Listed, other: Listed) -> bool:
    # Items stay the same object for as long as they read the same.
    return len(one) == len(other) and all(
        server == its and items is theirs for (server, items), (its, theirs) in zip(one, other, strict=True)
    )
