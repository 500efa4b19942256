"""What upstream servers offer beside tools: prompts, resources and resource templates, as they list them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import anyio

from gateway.access.caller import Caller
from gateway.catalog.server import Servers
from gateway.database.kept import Kept
from gateway.database.notices import Notices
from gateway.database.pool import Database
from gateway.errors import NotFoundError, UpstreamError
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

Kind = Literal["prompts", "resources", "resourceTemplates"]

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


@dataclass(frozen=True, slots=True)
class OfferingServer:
    """A server whose prompts and resources a caller may use; `capabilities` as at its last sync."""

    id: int
    name: str
    slug: str
    prefix: str | None
    capabilities: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Listing:
    spec: ServerSpec
    items: tuple[dict[str, Any], ...]
    until: float


class Offerings:
    """Lists are asked of servers when first needed, then kept for five minutes or until the server says they changed.

    A role may use a server's prompts and resources where its rule about that server, else its default, is ALLOW or
    SEARCH; rules about single tools, patterns and categories do not count here.
    """

    def __init__(self, database: Database, notices: Notices, servers: Servers, pool: UpstreamPool) -> None:
        self._database = database
        self._kept: Kept[tuple[int, ...], tuple[OfferingServer, ...]] = Kept(notices)
        self._servers = servers
        self._pool = pool
        self._listings: dict[tuple[int, Kind], _Listing] = {}
        self._asking: dict[tuple[int, Kind], asyncio.Task[tuple[dict[str, Any], ...]]] = {}

    async def servers(self, tenant_id: int, role_ids: tuple[int, ...]) -> tuple[OfferingServer, ...]:
        """The servers whose prompts and resources these roles may use, oldest first."""

        async def read() -> tuple[OfferingServer, ...]:
            rows = await self._database.fetch("offering_servers", tenant_id, list(role_ids))
            return tuple(OfferingServer(**row) for row in rows)

        return await self._kept.get(tenant_id, role_ids, read)

    async def all(self, caller: Caller, kind: Kind) -> list[tuple[OfferingServer, tuple[dict[str, Any], ...]]]:
        """What each server lists, oldest server first; a server that does not answer within 5 s is left out."""
        able = [
            server
            for server in await self.servers(caller.tenant_id, caller.role_ids)
            if isinstance(server.capabilities.get(_CAPABILITIES[kind]), dict)
        ]
        lists = await asyncio.gather(*(self.of(caller.tenant_id, server.id, kind) for server in able))
        return list(zip(able, lists, strict=True))

    async def of(self, tenant_id: int, server_id: int, kind: Kind) -> tuple[dict[str, Any], ...]:
        """What one server lists; nothing where it does not answer within 5 s."""
        try:
            spec = await self._servers.spec(tenant_id, server_id)
        except NotFoundError:
            return ()
        key = (server_id, kind)
        listing = self._listings.get(key)
        if listing is not None and listing.spec == spec and listing.until > anyio.current_time():
            return listing.items
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.ensure_future(self._ask(key, spec))
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        done, _ = await asyncio.wait((asking,), timeout=_PATIENCE_SECONDS)
        if done:
            return asking.result()
        return listing.items if listing is not None else ()

    def forget(self, server_id: int, kinds: Sequence[Kind]) -> None:
        """The server says that these lists have changed."""
        for kind in kinds:
            self._listings.pop((server_id, kind), None)

    async def aclose(self) -> None:
        """Give up what is being asked."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _ask(self, key: tuple[int, Kind], spec: ServerSpec) -> tuple[dict[str, Any], ...]:
        kept_for = _KEPT_SECONDS
        try:
            listed = await self._pool.list_all(spec, _METHODS[key[1]], key[1])
        except UpstreamError as error:
            logger.info("The %s of server %s are left out: %s", key[1], spec.name, error)
            listed, kept_for = [], _FAILURE_SECONDS
        items = tuple(item for item in listed if isinstance(item, dict) and _identified(item, key[1]))
        self._listings[key] = _Listing(spec, items, anyio.current_time() + kept_for)
        return items


def _identified(item: dict[str, Any], kind: Kind) -> bool:
    field = {"prompts": "name", "resources": "uri", "resourceTemplates": "uriTemplate"}[kind]
    return isinstance(item.get(field), str) and bool(item[field])
