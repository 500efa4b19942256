"""A tenant's configuration as it is now."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from gateway.access.profiles import Profiles
from gateway.access.roles import list_roles
from gateway.catalog.configuration.document import (
    FORMAT_VERSION,
    Configuration,
    ExampleEntry,
    GuardEntry,
    OverrideEntry,
    ProfileEntry,
    RoleEntry,
    RuleEntry,
    ServerEntry,
)
from gateway.catalog.configuration.personal_entry import export_personal
from gateway.catalog.configuration.placeholders import PlaceholderNames
from gateway.catalog.configuration.server_entry import export_server
from gateway.catalog.servers.server import Servers
from gateway.database.pool import Database


class GuardExport(Protocol):
    """Gives the guards of a tenant as entries, whose placeholders are others than those that are `taken`."""

    async def export(self, tenant_id: int, taken: set[str]) -> tuple[GuardEntry, ...]: ...


async def export_configuration(
    database: Database, servers: Servers, guards: GuardExport, tenant_id: int
) -> Configuration:
    """Everything of a tenant that a person has set, by name, without secrets, keys and accounts."""
    taken: set[str] = set()
    return Configuration(
        modelgate=FORMAT_VERSION,
        servers=await _servers(servers, tenant_id, taken),
        roles=tuple(
            [
                RoleEntry(
                    role.name,
                    role.description,
                    role.default_visibility,
                    role.approve,
                    await read_rules(database, tenant_id, role.id),
                )
                for role in await list_roles(database, tenant_id)
            ]
        ),
        profiles=tuple(
            [
                ProfileEntry(
                    profile.name,
                    profile.description,
                    profile.list_mode,
                    await read_rules(database, tenant_id, profile.id),
                )
                for profile in await Profiles(database).list(tenant_id)
            ]
        ),
        guards=await guards.export(tenant_id, taken),
        overrides=tuple((await read_overrides(database, tenant_id)).values()),
        disabled_tools=tuple(row["tool"] for row in await database.fetch("switched_off_tools", tenant_id)),
        examples=await _examples(database, tenant_id),
    )


async def _examples(database: Database, tenant_id: int) -> tuple[ExampleEntry, ...]:
    texts: dict[str, list[str]] = {}
    for row in await database.fetch("configured_examples", tenant_id):
        texts.setdefault(row["tool"], []).append(row["text"])
    return tuple(ExampleEntry(tool, tuple(said)) for tool, said in texts.items())


async def read_overrides(database: Database, tenant_id: int) -> dict[tuple[int, int | None], OverrideEntry]:
    """Every override by the numbers of its tool and its profile."""
    return {
        (row["tool_id"], row["profile_id"]): OverrideEntry(
            row["tool"],
            row["profile"],
            row["name"],
            row["title"],
            row["description"],
            row["category"],
            row["parameters"],
        )
        for row in await database.fetch("configured_overrides", tenant_id)
    }


async def _servers(servers: Servers, tenant_id: int, taken: set[str]) -> tuple[ServerEntry, ...]:
    entries = []
    for record in await servers.list(tenant_id):
        definition = await servers.load_definition(tenant_id, record.id)
        names = PlaceholderNames(record.name, taken)
        entry = export_server(definition, record.tuning, names, enabled=record.enabled)
        personal = (await servers.spec(tenant_id, record.id)).personal
        entries.append(replace(entry, personal=export_personal(names, personal)))
    return tuple(entries)


async def read_rules(database: Database, tenant_id: int, role_id: int) -> tuple[RuleEntry, ...]:
    """The rules of a role or profile, by what they are about."""
    return tuple(RuleEntry(**row) for row in await database.fetch("configured_rules", tenant_id, role_id))
