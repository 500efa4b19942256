"""What upstream servers offer beside tools: prompts, resources and resource templates, as they list them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from mcp_types import METHOD_NOT_FOUND

from gateway.access.caller import Caller
from gateway.catalog.server import Servers
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.downstream.lists.list_snapshot import KINDS, Kind, ListSnapshot, ListState, digest_of
from gateway.errors import NotFoundError, UpstreamError, UpstreamReplyError
from gateway.upstream import clock
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_METHODS: dict[Kind, str] = {
    "prompts": "prompts/list",
    "resources": "resources/list",
    "resourceTemplates": "resources/templates/list",
}
_CAPABILITIES: dict[Kind, str] = {"prompts": "prompts", "resources": "resources", "resourceTemplates": "resources"}
_KEPT_SECONDS = 300.0
# A failure is remembered, too, so that a server that is down is not waited for in every list.
_FAILURE_SECONDS = 10.0
_PATIENCE_SECONDS = 5.0
_FORGOTTEN_SECONDS = 3_600.0

ListKey: TypeAlias = "tuple[int, Kind]"
"""A server and one of its lists."""


@dataclass(frozen=True, slots=True)
class OfferingServer:
    """A server whose prompts and resources a caller may use; `capabilities` as at its last sync."""

    id: int
    name: str
    slug: str
    prefix: str | None
    capabilities: dict[str, Any]

    def offers(self, kind: Kind) -> bool:
        """Whether there is such a list."""
        return isinstance(self.capabilities.get(_CAPABILITIES[kind]), dict)


@dataclass(frozen=True, slots=True)
class _Listing:
    """What a server lists. `sound` says that it was asked, and has not said since that the list is another."""

    spec: ServerSpec
    items: tuple[dict[str, Any], ...]
    digest: bytes
    until: float
    sound: bool


class Offerings:
    """Lists are asked of servers when first needed, then kept for five minutes or until the server says they changed.

    What a server listed last stands in for what it lists while it does not answer. A role may use a server's prompts
    and resources where its rule about that server, else its default, is ALLOW or SEARCH; rules about single tools,
    patterns and categories do not count here.
    """

    def __init__(self, database: Database, notices: Notices, servers: Servers, pool: UpstreamPool) -> None:
        self._database = database
        self._kept: NotifiedCache[tuple[int, ...], tuple[OfferingServer, ...]] = NotifiedCache(notices)
        self._servers = servers
        self._pool = pool
        self._listings: dict[ListKey, _Listing] = {}
        self._asking: dict[ListKey, asyncio.Task[None]] = {}
        self._said: Counter[ListKey] = Counter()
        self._doubted: set[ListKey] = set()
        self._subscribers: list[Callable[[int], None]] = []

    def subscribe(self, callback: Callable[[int], None]) -> None:
        """Call `callback(tenant_id)` whenever a server of the tenant is found to list something else than before."""
        self._subscribers.append(callback)

    async def servers(self, tenant_id: int, role_ids: tuple[int, ...]) -> tuple[OfferingServer, ...]:
        """The servers whose prompts and resources these roles may use, oldest first."""

        async def read() -> tuple[OfferingServer, ...]:
            rows = await self._database.fetch("offering_servers", tenant_id, list(role_ids))
            return tuple(OfferingServer(**row) for row in rows)

        return await self._kept.get(tenant_id, role_ids, read)

    async def all(self, caller: Caller, kind: Kind) -> list[tuple[OfferingServer, tuple[dict[str, Any], ...]]]:
        """What each server lists, oldest server first; one that has never answered, and does not within 5 s, nothing.

        The items of a server are the same object for as long as they read the same.
        """
        able = [server for server in await self.servers(caller.tenant_id, caller.role_ids) if server.offers(kind)]
        held = {server.id: await self._held(caller.tenant_id, server.id, kind) for server in able}
        missing = [server_id for server_id, items in held.items() if items is None]
        if missing:
            asked = await asyncio.gather(*(self.of(caller.tenant_id, server_id, kind) for server_id in missing))
            held.update(zip(missing, asked, strict=True))
        return [(server, held[server.id] or ()) for server in able]

    async def of(self, tenant_id: int, server_id: int, kind: Kind) -> tuple[dict[str, Any], ...]:
        """What one server lists, or listed when it last answered, where it does not within 5 s."""
        try:
            spec = await self._servers.spec(tenant_id, server_id)
        except NotFoundError:
            return ()
        key: ListKey = (server_id, kind)
        listing = self._listings.get(key)
        if listing is not None and self._holds(listing, spec):
            return listing.items
        asking = self._asking.get(key)
        if asking is None or asking.done():
            asking = self._asking[key] = asyncio.create_task(self._ask(key, spec))
        await asyncio.wait((asking,), timeout=_PATIENCE_SECONDS)
        if key not in self._listings:
            # Whoever is shown a list without it has to be told when it comes.
            self._keep(key, spec, (), 0.0, sound=False)
        return self._listings[key].items

    def outline(self, servers: Sequence[OfferingServer], *kinds: Kind) -> ListSnapshot:
        """What is known of the lists of these servers without asking."""
        known: dict[ListKey, ListState] = {}
        for kind in kinds:
            for server in servers:
                if server.offers(kind):
                    named = (server.slug, server.prefix) if kind == "prompts" else (server.slug,)
                    listing = self._listings.get((server.id, kind))
                    digest = listing.digest if listing is not None else None
                    known[server.id, kind] = ListState(named, digest, self._said[server.id, kind])
        return known

    def changed(self, spec: ServerSpec, kinds: Sequence[Kind]) -> None:
        """The server says that these lists have changed."""
        for kind in kinds:
            if (spec.id, kind) in self._listings:
                self._doubt((spec.id, kind))
            elif spec.session == "shared":
                # What one client's own session sees may be no news to others.
                self._said[spec.id, kind] += 1
            if (spec.id, kind) in self._asking:
                # What is being listed just now may be from before the change.
                self._doubted.add((spec.id, kind))

    async def refresh(self, spec: ServerSpec, kinds: Sequence[Kind]) -> None:
        """Ask again for those of these lists that somebody has asked for, unless what is known of them holds."""
        for kind in kinds:
            for _ in range(2):
                # The second time where one was under way that had begun before.
                listing = self._listings.get((spec.id, kind))
                if listing is not None and not self._holds(listing, listing.spec):
                    await self.of(spec.tenant_id, spec.id, kind)

    def reopened(self, spec: ServerSpec) -> None:
        """A new session with the server was opened, in which it may list something else."""
        for kind in KINDS:
            # A list that is being asked for may have opened it.
            if (spec.id, kind) in self._listings and (spec.id, kind) not in self._asking:
                self._doubt((spec.id, kind))

    async def aclose(self) -> None:
        """Give up what is being asked."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _held(self, tenant_id: int, server_id: int, kind: Kind) -> tuple[dict[str, Any], ...] | None:
        """What is known to be listed, None where the server has to be asked."""
        listing = self._listings.get((server_id, kind))
        if listing is None:
            return None
        try:
            spec = await self._servers.spec(tenant_id, server_id)
        except NotFoundError:
            return ()
        return listing.items if self._holds(listing, spec) else None

    def _holds(self, listing: _Listing, spec: ServerSpec) -> bool:
        if listing.spec is not spec and listing.spec != spec:
            return False
        if listing.until > clock.now():
            return True
        # A server that is stopped while nobody uses it is not started to see whether it would list something else.
        stops = spec.transport == "stdio" and spec.idle_stop_seconds > 0
        return listing.sound and stops and self._pool.status(spec.id).state == "idle"

    def _doubt(self, key: ListKey) -> None:
        self._listings[key] = replace(self._listings[key], until=clock.now(), sound=False)

    async def _ask(self, key: ListKey, spec: ServerSpec) -> None:
        kind = key[1]
        self._doubted.discard(key)
        try:
            listed = await self._pool.list_all(spec, _METHODS[kind], kind)
        except UpstreamError as error:
            if isinstance(error, UpstreamReplyError) and error.code == METHOD_NOT_FOUND:
                self._keep(key, spec, (), _KEPT_SECONDS, sound=True)
                return
            logger.info("The %s of server %s are not known for the moment: %s", kind, spec.name, error)
            before = self._listings.get(key)
            self._keep(key, spec, before.items if before is not None else (), _FAILURE_SECONDS, sound=False)
        else:
            items = tuple(item for item in listed if isinstance(item, dict) and _identified(item, kind))
            doubted = key in self._doubted
            self._keep(key, spec, items, 0.0 if doubted else _KEPT_SECONDS, sound=not doubted)
        finally:
            if self._asking.get(key) is asyncio.current_task():
                del self._asking[key]

    def _keep(
        self, key: ListKey, spec: ServerSpec, items: tuple[dict[str, Any], ...], seconds: float, *, sound: bool
    ) -> None:
        now = clock.now()
        before = self._listings.get(key)
        digest = digest_of(items)
        if before is not None and before.digest == digest:
            items = before.items
        self._listings[key] = _Listing(spec, items, digest, now + seconds, sound)
        for other, listing in list(self._listings.items()):
            if listing.until + _FORGOTTEN_SECONDS < now:
                del self._listings[other]
        if before is None or before.digest != digest:
            for callback in self._subscribers:
                callback(spec.tenant_id)


def _identified(item: dict[str, Any], kind: Kind) -> bool:
    field = {"prompts": "name", "resources": "uri", "resourceTemplates": "uriTemplate"}[kind]
    name = item.get(field)
    if not isinstance(name, str) or not name:
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        # Nobody could ask for it.
        return False
    return True
