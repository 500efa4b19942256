"""Telling clients that a list of theirs has changed, and nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from mcp.server.subscriptions import PromptsListChanged, ResourcesListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from gateway.access.caller import Caller
from gateway.database.notices import Notice, Notices
from gateway.downstream.changes.change_listener import ChangeListener, Event, View
from gateway.downstream.lists.list_snapshot import Kind, ListSnapshot, differs, unasked
from gateway.downstream.lists.offerings import Offerings
from gateway.downstream.lists.tool_list import ToolList
from gateway.errors import DatabaseError, ModelGateError
from gateway.json_codec import Message
from gateway.task_set import TaskSet
from gateway.upstream.notifications import UpstreamNotifications
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_QUIET_SECONDS = 0.05
_RETRY_SECONDS = 1.0
_MAXIMUM_PER_KEY = 1_000

Roles: TypeAlias = "tuple[int, tuple[int, ...]]"
"""Tenant and roles: what two callers with the same see is the same."""

_RESOURCES: tuple[Kind, ...] = ("resources", "resourceTemplates")
_KINDS: dict[str, tuple[Kind, ...]] = {
    "notifications/prompts/list_changed": ("prompts",),
    "notifications/resources/list_changed": _RESOURCES,
}


@dataclass(slots=True)
class ListChangeNotifier:
    """Compares what listeners know of their lists with what is known now, whenever something may be different."""

    tool_list: ToolList
    offerings: Offerings
    notices: Notices
    news: UpstreamNotifications
    _listeners: set[ChangeListener] = field(default_factory=set)
    _views: dict[Roles, View] = field(default_factory=dict)
    _changed: set[int | None] = field(default_factory=set)
    _stir: asyncio.Event = field(default_factory=asyncio.Event)
    _refreshing: set[tuple[int, tuple[Kind, ...]]] = field(default_factory=set)
    _tasks: TaskSet = field(default_factory=TaskSet)

    def __post_init__(self) -> None:
        self.notices.subscribe(self._on_notice)
        self.offerings.subscribe(self.look)
        self.news.subscribe(self._on_news)
        self.news.subscribe_sessions(self._on_session)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tell of changes until the block ends."""
        self._tasks.spawn(self._follow())
        try:
            yield
        finally:
            for listener in self._listeners:
                listener.close()
            await self._tasks.aclose()

    def check_room(self, caller: Caller) -> None:
        """Raises MCPError where the key of `caller` has as many streams as it may have; sessions are none."""
        streams = (listener.caller() for listener in self._listeners if listener.is_stream)
        if sum(theirs.identity == caller.identity for theirs in streams) >= _MAXIMUM_PER_KEY:
            raise MCPError(
                code=INTERNAL_ERROR,
                message=f"{_MAXIMUM_PER_KEY:,} streams are open with this key, as many as it may have; end some first.",
            )

    async def join(self, listener: ChangeListener) -> None:
        """From now on the listener is told of changes of its lists."""
        self._listeners.add(listener)
        try:
            listener.view = await self._view(_roles(listener))
        except DatabaseError:
            # It is told too much sooner than too little.
            listener.view = View(b"", {}, {})

    def leave(self, listener: ChangeListener) -> None:
        """The listener is gone."""
        self._listeners.discard(listener)

    def look(self, tenant_id: int | None) -> None:
        """Something may be different in a tenant, None for all."""
        self._changed.add(tenant_id)
        self._stir.set()

    async def _follow(self) -> None:
        while True:
            await self._stir.wait()
            # What is said many times in a moment is told once.
            await asyncio.sleep(_QUIET_SECONDS)
            self._stir.clear()
            changed, self._changed = self._changed, set()
            try:
                await self._compare_all(changed)
            except DatabaseError as error:
                logger.info("Whether lists have changed is looked at later: %s", error)
                for tenant_id in changed:
                    self._look_later(tenant_id, _RETRY_SECONDS)
            except Exception:
                logger.exception("Whether lists have changed could not be found out")

    async def _compare_all(self, changed: set[int | None]) -> None:
        views: dict[Roles, View] = {}
        unknown: set[tuple[int, int, Kind]] = set()
        for listener in list(self._listeners):
            roles = _roles(listener)
            if listener.view is None:
                self._look_later(roles[0], _QUIET_SECONDS)
            elif roles[0] in changed or None in changed:
                if roles not in views:
                    views[roles] = await self._view(roles)
                news = self._compare(listener, listener.view, views[roles])
                unknown |= {(roles[0], server_id, kind) for server_id, kind in news}
        for tenant_id, server_id, kind in unknown:
            self._tasks.spawn(self._ask(tenant_id, server_id, kind))
        for gone in self._views.keys() - {_roles(listener) for listener in self._listeners}:
            del self._views[gone]

    def _look_later(self, tenant_id: int | None, seconds: float) -> None:
        self._changed.add(tenant_id)
        asyncio.get_running_loop().call_later(seconds, self._stir.set)

    async def _view(self, roles: Roles) -> View:
        digest = (await self.tool_list.pages(*roles)).digest
        servers = await self.offerings.servers(*roles)
        view = View(digest, self.offerings.outline(servers, "prompts"), self.offerings.outline(servers, *_RESOURCES))
        # Listeners with the same roles share one for as long as it reads the same.
        kept = self._views.get(roles)
        if kept != view:
            kept = self._views[roles] = view
        return kept

    def _compare(self, listener: ChangeListener, before: View, now: View) -> set[tuple[int, Kind]]:
        """Tell of what is different. Returns the lists that are news only if there is anything in them."""
        if before is now:
            return set()
        listener.view = now
        prompts, resources = unasked(before.prompts, now.prompts), unasked(before.resources, now.resources)
        if prompts or resources:
            listener.view = replace(
                now, prompts=_without(now.prompts, prompts), resources=_without(now.resources, resources)
            )
        events: list[Event] = []
        if before.tools != now.tools:
            events.append(ToolsListChanged())
        if differs(before.prompts, now.prompts):
            events.append(PromptsListChanged())
        if differs(before.resources, now.resources):
            events.append(ResourcesListChanged())
        if events:
            self._tasks.spawn(_tell(listener, events))
        return prompts | resources

    async def _ask(self, tenant_id: int, server_id: int, kind: Kind) -> None:
        with contextlib.suppress(ModelGateError):
            await self.offerings.of(tenant_id, server_id, kind)

    def _on_notice(self, notice: Notice) -> None:
        if notice.concerns_catalogue:
            self.look(notice.tenant_id)

    def _on_news(self, spec: ServerSpec, _: str | None, method: str, params: Message) -> None:
        kinds = _KINDS.get(method)
        if kinds is not None:
            self.offerings.changed(spec, kinds)
            self._refresh(spec, kinds)

    def _on_session(self, spec: ServerSpec, session_key: str | None, _: object, opened: bool) -> None:
        if opened and session_key is None:
            self.offerings.reopened(spec)
            for kinds in _KINDS.values():
                self._refresh(spec, kinds)

    def _refresh(self, spec: ServerSpec, kinds: tuple[Kind, ...]) -> None:
        if self._listeners and (spec.id, kinds) not in self._refreshing:
            self._refreshing.add((spec.id, kinds))
            self._tasks.spawn(self._ask_again(spec, kinds))

    async def _ask_again(self, spec: ServerSpec, kinds: tuple[Kind, ...]) -> None:
        await asyncio.sleep(_QUIET_SECONDS)
        self._refreshing.discard((spec.id, kinds))
        with contextlib.suppress(ModelGateError):
            await self.offerings.refresh(spec, kinds)
        self.look(spec.tenant_id)


def _without(outline: ListSnapshot, keys: set[tuple[int, Kind]]) -> ListSnapshot:
    return {key: known for key, known in outline.items() if key not in keys}


def _roles(listener: ChangeListener) -> Roles:
    caller = listener.caller()
    return caller.tenant_id, caller.role_ids


async def _tell(listener: ChangeListener, events: list[Event]) -> None:
    for event in events:
        await listener.tell(event)
