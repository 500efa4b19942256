"""What upstream servers offer beside tools: prompts, resources and resource templates, as they list them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

from mcp_types import METHOD_NOT_FOUND

from gateway.access.caller import Caller
from gateway.access.connections.caller_requests import CallerRequests
from gateway.catalog.listed_fields import mend_prompt, mend_resource
from gateway.catalog.review.offerings import Offering, OfferingKind, Offerings, offering_hash
from gateway.catalog.servers.server import Servers
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.downstream.lists.list_snapshot import (
    LIST_KINDS,
    NAME_FIELDS,
    ListKey,
    ListKind,
    ListSnapshot,
    ListState,
    digest_items,
)
from gateway.errors import DatabaseError, NotFoundError, UpstreamError, UpstreamReplyError
from gateway.json_codec import check_depth
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_METHODS: dict[ListKind, str] = {
    "prompts": "prompts/list",
    "resources": "resources/list",
    "resourceTemplates": "resources/templates/list",
}
_CAPABILITIES: dict[ListKind, str] = {"prompts": "prompts", "resources": "resources", "resourceTemplates": "resources"}
_FRESH_SECONDS = 300.0
# A failure is remembered, too, so that a server that is down is not waited for in every list.
_RETRY_SECONDS = 10.0
_WAIT_SECONDS = 5.0
_FORGET_AFTER_SECONDS = 3_600.0

# The list around it has levels of its own.
_MAX_DEPTH = 128
# Resources are what is read, and come and go.
_OFFERING_KINDS: dict[ListKind, OfferingKind] = {"prompts": "prompt", "resourceTemplates": "template"}

Items: TypeAlias = "tuple[dict[str, Any], ...]"


@dataclass(frozen=True, slots=True)
class ListedServer:
    """A server whose prompts and resources a caller may use; `capabilities` as at its last sync.

    `hidden` are the hashes of what it offers and nobody is shown until a person approves it.
    """

    id: int
    name: str
    slug: str
    prefix: str | None
    capabilities: dict[str, Any]
    hidden: frozenset[bytes] = frozenset()

    def offers(self, kind: ListKind) -> bool:
        """Whether there is such a list."""
        return isinstance(self.capabilities.get(_CAPABILITIES[kind]), dict)


class ServerItems(NamedTuple):
    """What one server lists. The items are the same object for as long as they read the same."""

    server: ListedServer
    items: Items


@dataclass(frozen=True, slots=True)
class _CachedList:
    """What a server lists. `confirmed` says that it was asked, and has not said since that the list is another."""

    spec: ServerSpec
    items: Items
    digest: bytes
    fresh_until: float
    confirmed: bool


class _ShownItems(NamedTuple):
    """Of `items` those that are not `hidden`."""

    items: Items
    hidden: frozenset[bytes]
    shown: Items


class UpstreamLists:
    """Lists are asked of servers when first needed, then kept for five minutes or until the server says they changed.

    What a server listed last stands in for what it lists while it does not answer. A role may use a server's prompts
    and resources where its rule about that server, else its default, is ALLOW or SEARCH; rules about single tools,
    patterns and categories do not count here.
    """

    def __init__(
        self,
        database: Database,
        notices: Notices,
        servers: Servers,
        pool: UpstreamPool,
        requests: CallerRequests,
        offerings: Offerings,
    ) -> None:
        self._database = database
        self._offerings = offerings
        self._shown: dict[ListKey, _ShownItems] = {}
        self._listed_servers: NotifiedCache[tuple[int, ...], tuple[ListedServer, ...]] = NotifiedCache(notices)
        self._servers = servers
        self._pool = pool
        self._requests = requests
        self._lists: dict[ListKey, _CachedList] = {}
        self._fetches: dict[ListKey, asyncio.Task[None]] = {}
        self._change_counts: Counter[ListKey] = Counter()
        # Those of which a server has said, while they were being fetched, that they have changed.
        self._changed_while_fetched: set[ListKey] = set()
        self._subscribers: list[Callable[[int], None]] = []

    def subscribe(self, callback: Callable[[int], None]) -> None:
        """Call `callback(tenant_id)` whenever a server of the tenant is found to list something else than before."""
        self._subscribers.append(callback)

    async def servers(self, tenant_id: int, role_ids: tuple[int, ...]) -> tuple[ListedServer, ...]:
        """The servers whose prompts and resources these roles may use, oldest first."""

        async def read() -> tuple[ListedServer, ...]:
            rows = await self._database.fetch("usable_servers", tenant_id, list(role_ids))
            return tuple(ListedServer(**{**row, "hidden": frozenset(row["hidden"])}) for row in rows)

        return await self._listed_servers.get(tenant_id, role_ids, read)

    async def get_all(self, caller: Caller, kind: ListKind) -> list[ServerItems]:
        """What each server lists, oldest server first; one that has never answered, and does not within 5 s, nothing.

        The items of a server are the same object for as long as they read the same.
        """
        able = [server for server in await self.servers(caller.tenant_id, caller.role_ids) if server.offers(kind)]
        known = {server.id: await self._fresh_items(caller.tenant_id, server.id, kind) for server in able}
        missing = [server_id for server_id, items in known.items() if items is None]
        if missing:
            fetched = await asyncio.gather(*(self.get(caller.tenant_id, server_id, kind) for server_id in missing))
            known.update(zip(missing, fetched, strict=True))
            # What was listed just now may be hidden since.
            able = [server for server in await self.servers(caller.tenant_id, caller.role_ids) if server.id in known]
        return [ServerItems(server, self._without_hidden(server, kind, known[server.id] or ())) for server in able]

    async def get(self, tenant_id: int, server_id: int, kind: ListKind) -> Items:
        """What one server lists, or listed when it last answered, where it does not within 5 s."""
        try:
            spec = await self._servers.spec(tenant_id, server_id)
        except NotFoundError:
            return ()
        key: ListKey = (server_id, kind)
        cached = self._lists.get(key)
        if cached is not None and self._is_fresh(cached, spec):
            return cached.items
        fetch = self._fetches.get(key)
        if fetch is None or fetch.done():
            fetch = self._fetches[key] = asyncio.create_task(self._fetch(key, spec))
        await asyncio.wait((fetch,), timeout=_WAIT_SECONDS)
        if key not in self._lists:
            # Whoever is shown a list without it has to be told when it comes.
            self._store(key, spec, (), 0.0, confirmed=False)
        return self._lists[key].items

    def _without_hidden(self, server: ListedServer, kind: ListKind, items: Items) -> Items:
        """`items` without those that wait for approval; the same object for as long as both are."""
        if not server.hidden or kind not in _OFFERING_KINDS:
            return items
        before = self._shown.get((server.id, kind))
        if before is None or before.items is not items or before.hidden != server.hidden:
            shown = tuple(item for item in items if offering_hash(item) not in server.hidden)
            before = self._shown[server.id, kind] = _ShownItems(items, server.hidden, shown)
        return before.shown

    def snapshot(self, servers: Sequence[ListedServer], *kinds: ListKind) -> ListSnapshot:
        """What is known of the lists of these servers without asking."""
        states: dict[ListKey, ListState] = {}
        for kind in kinds:
            for server in servers:
                if server.offers(kind):
                    name_parts = (server.slug, server.prefix) if kind == "prompts" else (server.slug,)
                    cached = self._lists.get((server.id, kind))
                    digest = cached.digest if cached is not None else None
                    if cached is not None and server.hidden:
                        digest = digest_items(self._without_hidden(server, kind, cached.items))
                    states[server.id, kind] = ListState(name_parts, digest, self._change_counts[server.id, kind])
        return states

    def on_list_changed(self, spec: ServerSpec, kinds: Sequence[ListKind]) -> None:
        """The server says that these lists have changed."""
        for kind in kinds:
            if (spec.id, kind) in self._lists:
                self._invalidate((spec.id, kind))
            elif spec.session == "shared":
                # What one client's own session sees may be no news to others.
                self._change_counts[spec.id, kind] += 1
            if (spec.id, kind) in self._fetches:
                # What is being listed just now may be from before the change.
                self._changed_while_fetched.add((spec.id, kind))

    async def refresh(self, spec: ServerSpec, kinds: Sequence[ListKind]) -> None:
        """Fetch again those of these lists that somebody has asked for, unless what is known of them is fresh."""
        for kind in kinds:
            for _ in range(2):
                # The second time where one was under way that had begun before.
                cached = self._lists.get((spec.id, kind))
                if cached is not None and not self._is_fresh(cached, cached.spec):
                    await self.get(spec.tenant_id, spec.id, kind)

    def on_session_opened(self, spec: ServerSpec) -> None:
        """A new session with the server was opened, in which it may list something else."""
        for kind in LIST_KINDS:
            # A list that is being fetched may have opened it.
            if (spec.id, kind) in self._lists and (spec.id, kind) not in self._fetches:
                self._invalidate((spec.id, kind))

    async def aclose(self) -> None:
        """Give up what is being fetched."""
        fetches = list(self._fetches.values())
        for task in fetches:
            task.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)

    async def _fresh_items(self, tenant_id: int, server_id: int, kind: ListKind) -> Items | None:
        """What is known to be listed, None where the server has to be asked."""
        cached = self._lists.get((server_id, kind))
        if cached is None:
            return None
        try:
            spec = await self._servers.spec(tenant_id, server_id)
        except NotFoundError:
            return ()
        return cached.items if self._is_fresh(cached, spec) else None

    def _is_fresh(self, cached: _CachedList, spec: ServerSpec) -> bool:
        if cached.spec is not spec and cached.spec != spec:
            return False
        if cached.fresh_until > time.monotonic():
            return True
        # A server that is stopped while nobody uses it is not started to see whether it would list something else.
        stops = spec.transport == "stdio" and spec.idle_stop_seconds > 0
        return cached.confirmed and stops and self._pool.status(spec.id).state == "idle"

    def _invalidate(self, key: ListKey) -> None:
        self._lists[key] = replace(self._lists[key], fresh_until=time.monotonic(), confirmed=False)

    async def _fetch(self, key: ListKey, spec: ServerSpec) -> None:
        kind = key[1]
        self._changed_while_fetched.discard(key)
        try:
            listed = await self._requests.list_all(spec, _METHODS[kind], kind)
            mend = mend_prompt if kind == "prompts" else mend_resource
            usable = [mend(item) for item in listed if isinstance(item, dict) and _is_usable(item, kind)]
            items = await self._review(spec, kind, usable)
        except (UpstreamError, DatabaseError) as error:
            if isinstance(error, UpstreamReplyError) and error.code == METHOD_NOT_FOUND:
                self._store(key, spec, (), _FRESH_SECONDS, confirmed=True)
                return
            logger.info("The %s of server %s are not known for the moment: %s", kind, spec.name, error)
            before = self._lists.get(key)
            self._store(key, spec, before.items if before is not None else (), _RETRY_SECONDS, confirmed=False)
        else:
            changed = key in self._changed_while_fetched
            self._store(key, spec, items, 0.0 if changed else _FRESH_SECONDS, confirmed=not changed)
        finally:
            if self._fetches.get(key) is asyncio.current_task():
                del self._fetches[key]

    async def _review(self, spec: ServerSpec, kind: ListKind, listed: Sequence[dict[str, Any]]) -> Items:
        """What a server lists, compared with what was approved; one of each name there. Raises DatabaseError."""
        offering_kind = _OFFERING_KINDS.get(kind)
        if offering_kind is None:
            return tuple(listed)
        # What has the name of another would pass unseen beside it.
        items = {item[NAME_FIELDS[kind]]: item for item in reversed(listed)}
        offered = [Offering(name, item) for name, item in reversed(items.items())]
        if await self._offerings.record(spec, offering_kind, offered):
            self._listed_servers.forget(spec.tenant_id)
        return tuple(offering.definition for offering in offered)

    def _store(self, key: ListKey, spec: ServerSpec, items: Items, fresh_seconds: float, *, confirmed: bool) -> None:
        now = time.monotonic()
        before = self._lists.get(key)
        digest = digest_items(items)
        if before is not None and before.digest == digest:
            items = before.items
        self._lists[key] = _CachedList(spec, items, digest, now + fresh_seconds, confirmed)
        for other, cached in list(self._lists.items()):
            if cached.fresh_until + _FORGET_AFTER_SECONDS < now:
                del self._lists[other]
        if before is None or before.digest != digest:
            for callback in self._subscribers:
                callback(spec.tenant_id)


def _is_usable(item: dict[str, Any], kind: ListKind) -> bool:
    """Whether the item has a name or address that somebody could ask for, and clients could read it."""
    name = item.get(NAME_FIELDS[kind])
    if not isinstance(name, str) or not name:
        return False
    try:
        name.encode()
        check_depth(item, _MAX_DEPTH)
    except ValueError:
        return False
    return True
