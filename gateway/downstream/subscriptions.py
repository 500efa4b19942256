"""Subscriptions to single resources: one with the upstream server for all clients that have one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.access.caller import Caller
from gateway.catalog.server import Servers
from gateway.downstream.resources import Resources
from gateway.errors import ModelGateError, NotFoundError, UpstreamError
from gateway.upstream.message import Message
from gateway.upstream.news import UpstreamNews
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_UPDATED = "notifications/resources/updated"
_RETRY_SECONDS = 5.0
_QUIET_SECONDS = 0.05
_MAXIMUM_PER_CLIENT = 1_000

Told: TypeAlias = Callable[[str], Awaitable[None]]
"""Told the address of an updated resource, as its client knows it."""

Resource: TypeAlias = "tuple[int, str]"
"""A server and the address that the server knows."""


class Subscriptions:
    """Passes on that resources have been updated, to those who subscribed to them."""

    def __init__(self, resources: Resources, servers: Servers, pool: UpstreamPool, news: UpstreamNews) -> None:
        self._resources = resources
        self._servers = servers
        self._pool = pool
        self._watchers: dict[Resource, dict[str, tuple[str, Told]]] = {}
        self._listening: dict[int, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._updated: set[Resource] = set()
        news.subscribe(self._on_news)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Subscriptions last until the block ends at most."""
        try:
            yield
        finally:
            tasks = [*self._listening.values(), *self._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def add(self, caller: Caller, client: str, uri: object, told: Told) -> None:
        """Tell the client with the key `client` of updates. Raises MCPError for a resource that it cannot see."""
        if sum(client in watching for watching in self._watchers.values()) >= _MAXIMUM_PER_CLIENT:
            raise MCPError(code=INVALID_PARAMS, message="Too many subscriptions; end some of them first.")
        resolved = await self._resources.resolve(caller, uri)
        if not resolved:
            raise MCPError(code=INVALID_PARAMS, message=f"There is no resource {str(uri)[:200]!r}.", data={"uri": uri})
        resource = resolved[0]
        spec = await self._servers.spec(caller.tenant_id, resource[0])
        first = resource not in self._watchers
        self._watchers.setdefault(resource, {})[client] = (str(uri), told)
        if first:
            try:
                await self._begin(spec, resource)
            except BaseException:
                self._watchers.pop(resource, None)
                raise

    def remove(self, caller: Caller, client: str, uri: object) -> None:
        """The client no longer wants to be told."""
        for resource, watching in list(self._watchers.items()):
            if client in watching and watching[client][0] == uri:
                self._leave(caller.tenant_id, resource, client)

    def remove_all(self, caller: Caller, client: str) -> None:
        """The client is gone."""
        for resource, watching in list(self._watchers.items()):
            if client in watching:
                self._leave(caller.tenant_id, resource, client)

    def _leave(self, tenant_id: int, resource: Resource, client: str) -> None:
        watching = self._watchers[resource]
        del watching[client]
        if not watching:
            del self._watchers[resource]
            # Clients leave in the middle of being cancelled, when nothing can be waited for.
            self._spawn(self._end(tenant_id, resource))

    async def _end(self, tenant_id: int, resource: Resource) -> None:
        with contextlib.suppress(ModelGateError):
            spec = await self._servers.spec(tenant_id, resource[0])
            if self._is_modern(spec):
                self._listen(spec)
            else:
                await self._pool.request(spec, "resources/unsubscribe", {"uri": resource[1]})

    async def _begin(self, spec: ServerSpec, resource: Resource) -> None:
        if self._is_modern(spec):
            self._listen(spec)
            return
        try:
            await self._pool.request(spec, "resources/subscribe", {"uri": resource[1]})
        except UpstreamError:
            # The first request to a server settles its era.
            if not self._is_modern(spec):
                raise
            self._listen(spec)

    def _is_modern(self, spec: ServerSpec) -> bool:
        info = self._pool.session_info(spec)
        return info is not None and info.era == "modern"

    def _listen(self, spec: ServerSpec) -> None:
        """Listen anew for all that is subscribed of a modern server; one stream cannot be changed."""
        before = self._listening.pop(spec.id, None)
        if before is not None:
            before.cancel()
        wanted = sorted(own for server_id, own in self._watchers if server_id == spec.id)
        if wanted:
            self._listening[spec.id] = asyncio.create_task(self._keep_listening(spec, wanted))

    async def _keep_listening(self, spec: ServerSpec, wanted: list[str]) -> None:
        params: Message = {"notifications": {"resourceSubscriptions": wanted}}
        while True:
            try:
                # Anew each time: the server may have been changed or removed meanwhile.
                current = await self._servers.spec(spec.tenant_id, spec.id)
                await self._pool.request(current, "subscriptions/listen", params, timeout=math.inf)
            except NotFoundError:
                return
            except ModelGateError as error:
                logger.info("Updates of resources of server %s are not heard for the moment: %s", spec.name, error)
            await asyncio.sleep(_RETRY_SECONDS)

    def _on_news(self, spec: ServerSpec, method: str, params: Message) -> None:
        uri = params.get("uri")
        if method != _UPDATED or not isinstance(uri, str):
            return
        resource = (spec.id, uri)
        if resource in self._watchers and resource not in self._updated:
            self._updated.add(resource)
            self._spawn(self._tell_watchers(resource))

    async def _tell_watchers(self, resource: Resource) -> None:
        # What a server says many times in a moment is told once.
        await asyncio.sleep(_QUIET_SECONDS)
        self._updated.discard(resource)
        for shown, told in list(self._watchers.get(resource, {}).values()):
            self._spawn(self._tell(told, shown))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, told: Told, uri: str) -> None:
        try:
            await told(uri)
        except Exception:
            logger.debug("an update of %s could not be told", uri, exc_info=True)
