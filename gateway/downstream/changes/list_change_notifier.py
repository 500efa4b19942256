"""Telling clients that a list of theirs has changed, and nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import NamedTuple

from mcp.server.subscriptions import PromptsListChanged, ResourcesListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from gateway.access.caller import Caller
from gateway.database.notices import Notice, Notices
from gateway.downstream.changes.change_listener import ChangeListener, KnownLists, ListChange
from gateway.downstream.changes.list_leases import ListLeases
from gateway.downstream.lists.list_snapshot import ListKey, ListKind, ListSnapshot, has_changed, new_unknown_lists
from gateway.downstream.lists.tool_list import ToolList
from gateway.downstream.lists.upstream_lists import UpstreamLists
from gateway.errors import DatabaseError, ModelGateError
from gateway.json_codec import Message
from gateway.task_set import TaskSet
from gateway.upstream.notifications import UpstreamNotifications
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_QUIET_SECONDS = 0.05
_RETRY_SECONDS = 1.0

_RESOURCES: tuple[ListKind, ...] = ("resources", "resourceTemplates")
_KINDS_OF_METHOD: dict[str, tuple[ListKind, ...]] = {
    "notifications/prompts/list_changed": ("prompts",),
    "notifications/resources/list_changed": _RESOURCES,
}


class _TenantRoles(NamedTuple):
    """What two callers with the same see is the same."""

    tenant_id: int
    role_ids: tuple[int, ...]


class ListChangeNotifier:
    """Compares what listeners know of their lists with what is known now, whenever something may be different."""

    def __init__(
        self,
        tool_list: ToolList,
        upstream_lists: UpstreamLists,
        notices: Notices,
        notifications: UpstreamNotifications,
        leases: ListLeases,
        max_streams_per_caller: int,
    ) -> None:
        self._tool_list = tool_list
        self._upstream_lists = upstream_lists
        self._leases = leases
        self._max_streams_per_caller = max_streams_per_caller
        self._listeners: set[ChangeListener] = set()
        self._known: dict[_TenantRoles, KnownLists] = {}
        # Tenants in which something may be different, None for all.
        self._changed: set[int | None] = set()
        self._wake = asyncio.Event()
        self._refreshing: set[tuple[int, tuple[ListKind, ...]]] = set()
        self._tasks = TaskSet()
        notices.subscribe(self._on_notice)
        upstream_lists.subscribe(self.recheck)
        notifications.subscribe(self._on_notification)
        notifications.subscribe_sessions(self._on_session)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Notify of changes until the block ends."""
        self._tasks.spawn(self._follow())
        try:
            yield
        finally:
            for listener in self._listeners:
                listener.close()
            await self._tasks.aclose()

    def check_stream_limit(self, caller: Caller) -> None:
        """Raises MCPError where the key of `caller` has as many streams as it may have; sessions are none."""
        streams = (listener.get_caller() for listener in self._listeners if listener.is_stream)
        if sum(theirs.identity == caller.identity for theirs in streams) >= self._max_streams_per_caller:
            raise MCPError(
                code=INTERNAL_ERROR,
                message=f"{self._max_streams_per_caller:,} streams are open with this key, as many as it may have; end "
                "some first.",
            )

    async def add(self, listener: ChangeListener) -> None:
        """From now on the listener is notified of changes of its lists."""
        self._listeners.add(listener)
        try:
            listener.known = await self._known_lists(_roles_of(listener))
        except DatabaseError:
            # It is told too much sooner than too little.
            listener.known = KnownLists(b"", {}, {})

    def remove(self, listener: ChangeListener) -> None:
        """The listener is gone."""
        self._listeners.discard(listener)

    def recheck(self, tenant_id: int | None) -> None:
        """Something may be different in a tenant, None for all."""
        self._changed.add(tenant_id)
        self._wake.set()

    async def _follow(self) -> None:
        while True:
            await self._wake.wait()
            # What is said many times in a moment is told once.
            await asyncio.sleep(_QUIET_SECONDS)
            self._wake.clear()
            changed, self._changed = self._changed, set()
            try:
                await self._compare_all(changed)
            except DatabaseError as error:
                logger.info("Whether lists have changed is looked at later: %s", error)
                for tenant_id in changed:
                    self._recheck_later(tenant_id, _RETRY_SECONDS)
            except Exception:
                logger.exception("Whether lists have changed could not be found out")

    async def _compare_all(self, changed: set[int | None]) -> None:
        now: dict[_TenantRoles, KnownLists] = {}
        unknown: set[tuple[int, ListKey]] = set()
        for listener in list(self._listeners):
            roles = _roles_of(listener)
            if listener.known is None:
                self._recheck_later(roles.tenant_id, _QUIET_SECONDS)
            elif roles.tenant_id in changed or None in changed:
                if roles not in now:
                    now[roles] = await self._known_lists(roles)
                new = self._compare(roles.tenant_id, listener, listener.known, now[roles])
                unknown |= {(roles.tenant_id, key) for key in new}
        for tenant_id, (server_id, kind) in unknown:
            self._tasks.spawn(self._fetch(tenant_id, server_id, kind))
        for gone in self._known.keys() - {_roles_of(listener) for listener in self._listeners}:
            del self._known[gone]

    def _recheck_later(self, tenant_id: int | None, seconds: float) -> None:
        self._changed.add(tenant_id)
        asyncio.get_running_loop().call_later(seconds, self._wake.set)

    async def _known_lists(self, roles: _TenantRoles) -> KnownLists:
        digest = (await self._tool_list.pages(roles.tenant_id, roles.role_ids)).digest
        servers = await self._upstream_lists.servers(roles.tenant_id, roles.role_ids)
        snapshot = self._upstream_lists.snapshot
        now = KnownLists(digest, snapshot(servers, "prompts"), snapshot(servers, *_RESOURCES))
        # Listeners with the same roles share one for as long as it reads the same.
        shared = self._known.get(roles)
        if shared != now:
            shared = self._known[roles] = now
        return shared

    def _compare(self, tenant_id: int, listener: ChangeListener, before: KnownLists, now: KnownLists) -> set[ListKey]:
        """Notify of what is different. Returns the lists that are news only if there is anything in them."""
        if before is now:
            return set()
        listener.known = now
        prompts = new_unknown_lists(before.prompts, now.prompts)
        resources = new_unknown_lists(before.resources, now.resources)
        if prompts or resources:
            listener.known = replace(
                now, prompts=_without(now.prompts, prompts), resources=_without(now.resources, resources)
            )
        changes: list[ListChange] = []
        if before.tools != now.tools:
            changes.append(ToolsListChanged())
        if has_changed(before.prompts, now.prompts):
            changes.append(PromptsListChanged())
        if has_changed(before.resources, now.resources):
            changes.append(ResourcesListChanged())
        if changes:
            self._tasks.spawn(self._notify(tenant_id, listener, changes))
        return prompts | resources

    async def _notify(self, tenant_id: int, listener: ChangeListener, changes: list[ListChange]) -> None:
        # Whichever process is asked next must know of them.
        await self._leases.end(tenant_id)
        for change in changes:
            await listener.notify(change)

    async def _fetch(self, tenant_id: int, server_id: int, kind: ListKind) -> None:
        with contextlib.suppress(ModelGateError):
            await self._upstream_lists.get(tenant_id, server_id, kind)

    def _on_notice(self, notice: Notice) -> None:
        if notice.concerns_catalogue:
            self.recheck(notice.tenant_id)

    def _on_notification(self, spec: ServerSpec, _: str | None, method: str, params: Message) -> None:
        kinds = _KINDS_OF_METHOD.get(method)
        if kinds is not None:
            self._upstream_lists.on_list_changed(spec, kinds)
            self._refresh(spec, kinds)

    def _on_session(self, spec: ServerSpec, session_key: str | None, _: object, opened: bool) -> None:
        if opened and session_key is None:
            self._upstream_lists.on_session_opened(spec)
            for kinds in _KINDS_OF_METHOD.values():
                self._refresh(spec, kinds)

    def _refresh(self, spec: ServerSpec, kinds: tuple[ListKind, ...]) -> None:
        if self._listeners and (spec.id, kinds) not in self._refreshing:
            self._refreshing.add((spec.id, kinds))
            self._tasks.spawn(self._refresh_soon(spec, kinds))

    async def _refresh_soon(self, spec: ServerSpec, kinds: tuple[ListKind, ...]) -> None:
        await asyncio.sleep(_QUIET_SECONDS)
        self._refreshing.discard((spec.id, kinds))
        with contextlib.suppress(ModelGateError):
            await self._upstream_lists.refresh(spec, kinds)
        self.recheck(spec.tenant_id)


def _without(snapshot: ListSnapshot, keys: set[ListKey]) -> ListSnapshot:
    return {key: state for key, state in snapshot.items() if key not in keys}


def _roles_of(listener: ChangeListener) -> _TenantRoles:
    caller = listener.get_caller()
    return _TenantRoles(caller.tenant_id, caller.role_ids)
