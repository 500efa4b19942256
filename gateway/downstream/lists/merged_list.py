"""What several servers list, made one list for each set of roles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from cachetools import LRUCache

from gateway.access.caller import Caller
from gateway.downstream.lists.list_snapshot import NAME_FIELDS, ListKind
from gateway.downstream.lists.upstream_lists import ServerItems, UpstreamLists
from gateway.downstream.pagination import PagedList
from gateway.downstream.uri import uri_scheme, uri_space

_MAXIMUM_LISTS = 500


@dataclass(frozen=True, slots=True)
class MergedItem:
    """An item of a merged list: `name` is what it is called there, `upstream_name` what `server_id` calls it."""

    name: str
    server_id: int
    upstream_name: str
    item: Mapping[str, Any]


class Origin(NamedTuple):
    """Where an item of a merged list comes from: a server, and the name or address that the item has there."""

    server_id: int
    name: str


MergeItems: TypeAlias = Callable[[Sequence[ServerItems]], Sequence[MergedItem]]
"""Gives every item a name that no other has, in the order of the list."""


@dataclass(frozen=True)
class MergedList:
    """A merged list, with the origin of each item by the name that clients know."""

    sources: Sequence[ServerItems]
    pages: PagedList
    origins: Mapping[str, Origin]

    @cached_property
    def spaces(self) -> frozenset[tuple[int, str]]:
        """Servers, each with the namespace of an address that it lists."""
        return frozenset((origin.server_id, uri_space(origin.name)) for origin in self.origins.values())

    @cached_property
    def schemes(self) -> frozenset[tuple[int, str]]:
        """Servers, each with the scheme of an address that it lists."""
        return frozenset((origin.server_id, uri_scheme(origin.name)) for origin in self.origins.values())


class MergedLists:
    """Lists of one kind, each kept until something that it was made of is different."""

    def __init__(self, upstream_lists: UpstreamLists, kind: ListKind, merge: MergeItems) -> None:
        self._upstream_lists = upstream_lists
        self._kind = kind
        self._name_field = NAME_FIELDS[kind]
        self._merge = merge
        self._by_roles: LRUCache[tuple[int, tuple[int, ...]], MergedList] = LRUCache(_MAXIMUM_LISTS)

    async def get(self, caller: Caller) -> MergedList:
        """The list that callers with these roles are shown."""
        sources = await self._upstream_lists.get_all(caller, self._kind)
        roles = (caller.tenant_id, caller.role_ids)
        known = self._by_roles.get(roles)
        if known is not None and _is_same(known.sources, sources):
            return known
        merged = self._merge(sources)
        items = [{**each.item, self._name_field: each.name} for each in merged]
        made = MergedList(
            sources,
            PagedList(self._kind, self._name_field, items),
            {each.name: Origin(each.server_id, each.upstream_name) for each in merged},
        )
        self._by_roles[roles] = made
        return made


def _is_same(one: Sequence[ServerItems], other: Sequence[ServerItems]) -> bool:
    # Items stay the same object for as long as they read the same.
    return len(one) == len(other) and all(
        mine.server == theirs.server and mine.items is theirs.items for mine, theirs in zip(one, other, strict=True)
    )
