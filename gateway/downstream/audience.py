"""Telling clients that a list of theirs has changed, and nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ServerEvent,
    ToolsListChanged,
)
from mcp_types import SubscriptionsListenRequestParams, SubscriptionsListenResult

from gateway.access.caller import Caller
from gateway.database.notices import Notices
from gateway.downstream.offerings import Kind, Offerings
from gateway.downstream.sessions import Sessions
from gateway.downstream.tool_list import ToolList
from gateway.errors import DatabaseError
from gateway.upstream.message import Message
from gateway.upstream.news import UpstreamNews
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_QUIET_SECONDS = 0.05
_RETRY_SECONDS = 1.0

Roles: TypeAlias = "tuple[int, tuple[int, ...]]"
"""Tenant and roles: what two callers with the same see is the same."""

_EVENTS: dict[str, tuple[tuple[Kind, ...], ServerEvent, Callable[[ServerSession], Awaitable[None]]]] = {
    "notifications/prompts/list_changed": (
        ("prompts",),
        PromptsListChanged(),
        lambda session: session.send_prompt_list_changed(),
    ),
    "notifications/resources/list_changed": (
        ("resources", "resourceTemplates"),
        ResourcesListChanged(),
        lambda session: session.send_resource_list_changed(),
    ),
}


@dataclass(slots=True, eq=False)
class _Audience:
    """Who hears of changes of one list: modern clients through `listen`; `digest` is that of the list they know."""

    listen: ListenHandler
    bus: InMemorySubscriptionBus
    streams: int = 0
    digest: bytes | None = None


@dataclass(slots=True)
class Audiences:
    """Compares tool lists after each change of a catalogue, for those roles that somebody listens with."""

    tool_list: ToolList
    offerings: Offerings
    sessions: Sessions
    notices: Notices
    news: UpstreamNews
    _audiences: dict[Roles, _Audience] = field(default_factory=dict)
    _changed: set[int | None] = field(default_factory=set)
    _stir: asyncio.Event = field(default_factory=asyncio.Event)
    _pending: set[tuple[int, str]] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.notices.subscribe(self._on_notice)
        self.news.subscribe(self._on_news)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tell of changes until the block ends."""
        self._spawn(self._follow())
        try:
            yield
        finally:
            for audience in self._audiences.values():
                audience.listen.close()
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def joined(self, caller: Caller) -> None:
        """A client of `caller` begins to listen: from now on it is told of changes of its list."""
        audience = self._audience(caller)
        if audience.digest is None:
            with contextlib.suppress(DatabaseError):
                audience.digest = (await self.tool_list.pages(caller.tenant_id, caller.role_ids)).digest

    async def listen(
        self, caller: Caller, context: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Serve one subscriptions/listen stream."""
        audience = self._audience(caller)
        audience.streams += 1
        try:
            await self.joined(caller)
            return await audience.listen(context, params)
        finally:
            audience.streams -= 1

    async def publish(self, caller: Caller, event: ServerEvent) -> None:
        """Tell the modern clients with the roles of `caller`."""
        await self._audience(caller).bus.publish(event)

    def _audience(self, caller: Caller) -> _Audience:
        roles = (caller.tenant_id, caller.role_ids)
        if roles not in self._audiences:
            bus = InMemorySubscriptionBus()
            self._audiences[roles] = _Audience(ListenHandler(bus), bus)
        return self._audiences[roles]

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_notice(self, payload: str) -> None:
        told = json.loads(payload) if payload else {}
        if not payload or "catalogue" in told:
            self._changed.add(told.get("tenant"))
            self._stir.set()

    async def _follow(self) -> None:
        while True:
            await self._stir.wait()
            await asyncio.sleep(_QUIET_SECONDS)
            self._stir.clear()
            changed, self._changed = self._changed, set()
            listening = {(live.caller.tenant_id, live.caller.role_ids) for live in self.sessions.all()}
            for roles, audience in list(self._audiences.items()):
                if roles not in listening and not audience.streams:
                    del self._audiences[roles]
                elif roles[0] in changed or None in changed:
                    await self._compare(roles, audience)

    async def _compare(self, roles: Roles, audience: _Audience) -> None:
        try:
            digest = (await self.tool_list.pages(*roles)).digest
        except DatabaseError as error:
            logger.info("Whether a tool list has changed is looked at later: %s", error)
            self._changed.add(roles[0])
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._stir.set)
            return
        if digest == audience.digest:
            return
        audience.digest = digest
        await self._tell(roles, ToolsListChanged(), lambda session: session.send_tool_list_changed())

    async def _tell(self, roles: Roles, event: ServerEvent, say: Callable[[ServerSession], Awaitable[None]]) -> None:
        for live in self.sessions.all():
            if (live.caller.tenant_id, live.caller.role_ids) == roles:
                self._spawn(live.tell(say))
        if roles in self._audiences:
            await self._audiences[roles].bus.publish(event)

    def _on_news(self, spec: ServerSpec, method: str, params: Message) -> None:
        if method in _EVENTS:
            self.offerings.forget(spec.id, _EVENTS[method][0])
            if (spec.id, method) not in self._pending:
                self._pending.add((spec.id, method))
                self._spawn(self._tell_users(spec, method))

    async def _tell_users(self, spec: ServerSpec, method: str) -> None:
        # What a server says many times in a moment is told once.
        await asyncio.sleep(_QUIET_SECONDS)
        self._pending.discard((spec.id, method))
        _, event, say = _EVENTS[method]
        for roles in list(self._audiences):
            if roles[0] != spec.tenant_id:
                continue
            with contextlib.suppress(DatabaseError):
                if any(server.id == spec.id for server in await self.offerings.servers(*roles)):
                    await self._tell(roles, event, say)
