"""The servers of a configuration made a tenant's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.catalog.configuration.change import ApplyOptions, ChangeList
from gateway.catalog.configuration.document import ServerEntry
from gateway.catalog.configuration.personal_entry import resolve_personal
from gateway.catalog.configuration.server_entry import ResolvedServer, resolve_server
from gateway.catalog.servers.server import Servers
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.servers.server_record import ServerRecord
from gateway.errors import InvalidInputError
from gateway.upstream.credentials.personal import PersonalKind, check_personal


@dataclass(frozen=True, slots=True)
class _PlannedServer:
    """A server as the document has it, and as it is stored where it is; `personal` is to take the place of `stored`."""

    entry: ServerEntry
    record: ServerRecord | None
    current: ServerDefinition | None
    resolved: ResolvedServer
    stored: PersonalKind | None
    personal: PersonalKind | None


class ServerUpdate:
    """Adds, changes and removes servers.

    `authorize` raises where a server may not be added or changed by whoever does this; `on_change` is awaited with the
    id of each that was changed, switched off or removed.
    """

    def __init__(
        self,
        servers: Servers,
        tenant_id: int,
        options: ApplyOptions,
        changes: ChangeList,
        authorize: Callable[[ServerDefinition], None],
        on_change: Callable[[int], Awaitable[None]] | None,
    ) -> None:
        self._servers = servers
        self._tenant_id = tenant_id
        self._options = options
        self._changes = changes
        self._authorize = authorize
        self._on_change = on_change

    async def apply(self, entries: tuple[ServerEntry, ...]) -> None:
        """Raises InvalidInputError, and what `authorize` does, before anything is changed."""
        records = {record.name: record for record in await self._servers.list(self._tenant_id)}
        planned: list[_PlannedServer] = []
        for entry in entries:
            record = records.get(entry.name)
            current = None if record is None else await self._servers.load_definition(self._tenant_id, record.id)
            if current is not None and current.transport != entry.transport:
                raise InvalidInputError(
                    f"The server {entry.name!r} has the transport {current.transport}, which cannot become "
                    f"{entry.transport}; remove it first."
                )
            resolved = resolve_server(entry, current, self._options.values)
            if resolved.definition != current:
                self._authorize(resolved.definition)
            resolved.tuning.validate()
            # What lacks its secrets may not be valid yet: it is added for them to be given.
            if not resolved.missing:
                self._servers.check(resolved.definition)
            stored = None if record is None else (await self._servers.spec(self._tenant_id, record.id)).personal
            personal = resolve_personal(entry.name, entry.personal, stored, self._options.values)
            check_personal(personal, entry.transport)
            planned.append(_PlannedServer(entry, record, current, resolved, stored, personal))
        for each in planned:
            await self._apply_server(each)
        if self._options.prune:
            for name in sorted(records.keys() - {entry.name for entry in entries}):
                if not self._options.dry_run:
                    await self._servers.remove(self._tenant_id, records[name].id)
                    await self._tell(records[name].id)
                self._changes.record("server", name, "removed")

    async def _apply_server(self, planned: _PlannedServer) -> None:
        entry, record, current, resolved = planned.entry, planned.record, planned.current, planned.resolved
        missing = ", ".join(resolved.missing)
        note = f"disabled: there is no value for {missing}; set it, then enable the server" if missing else None
        enabled = entry.enabled and not missing
        if record is None or current is None:
            if not self._options.dry_run:
                server_id = await self._servers.add(self._tenant_id, resolved.definition, enabled=enabled)
                await self._servers.set_tuning(self._tenant_id, server_id, resolved.tuning)
                if planned.personal is not None:
                    await self._servers.set_personal(self._tenant_id, server_id, planned.personal)
            self._changes.record("server", entry.name, "added", note)
            return
        # A server that lacks a secret stays off, which is no difference to the document.
        differs = (
            resolved.definition != current,
            resolved.tuning != record.tuning,
            enabled != record.enabled,
            planned.personal != planned.stored,
        )
        if not any(differs):
            self._changes.record("server", entry.name, "unchanged", note)
            return
        if not self._options.dry_run:
            if differs[3]:
                # Before it is changed otherwise: it is never open to all in between.
                list_as = (await self._servers.spec(self._tenant_id, record.id)).list_as
                await self._servers.set_personal(self._tenant_id, record.id, planned.personal, list_as)
            if differs[0]:
                await self._servers.update(self._tenant_id, record.id, resolved.definition)
                await self._servers.set_credential(
                    self._tenant_id, record.id, resolved.definition.credential, resolved.definition.certificate
                )
            if differs[1]:
                await self._servers.set_tuning(self._tenant_id, record.id, resolved.tuning)
            if differs[2]:
                await self._servers.set_enabled(self._tenant_id, record.id, enabled)
            await self._tell(record.id)
        self._changes.record("server", entry.name, "changed", note)

    async def _tell(self, server_id: int) -> None:
        if self._on_change is not None:
            await self._on_change(server_id)
