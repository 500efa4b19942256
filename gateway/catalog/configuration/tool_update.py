"""What a configuration says of tools, made a tenant's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.access.profiles import Profiles
from gateway.access.tool_names import tool_by_name
from gateway.catalog.configuration.change import NOT_THERE_YET, ApplyOptions, ChangeList
from gateway.catalog.configuration.document import OverrideEntry
from gateway.catalog.configuration.export import read_overrides
from gateway.catalog.overrides.tool_overrides import ToolOverrides
from gateway.catalog.overrides.tool_switch import set_tool_enabled
from gateway.catalog.tool_override import ToolOverride
from gateway.database.pool import Database
from gateway.errors import NotFoundError


class ToolUpdate:
    """Sets and removes overrides, and switches tools off and on."""

    def __init__(
        self,
        database: Database,
        overrides: ToolOverrides,
        tenant_id: int,
        options: ApplyOptions,
        changes: ChangeList,
    ) -> None:
        self._database = database
        self._overrides = overrides
        self._tenant_id = tenant_id
        self._options = options
        self._changes = changes

    async def apply_overrides(self, entries: tuple[OverrideEntry, ...]) -> None:
        """Raises InvalidInputError for what a tool cannot be called or said to be."""
        current = await read_overrides(self._database, self._tenant_id)
        profiles = {profile.name: profile.id for profile in await Profiles(self._database).list(self._tenant_id)}
        kept = set()
        for entry in entries:
            try:
                place = await self._place(entry, profiles)
            except NotFoundError:
                self._changes.record("override", entry.about, "skipped", NOT_THERE_YET)
                continue
            kept.add(place)
            # A tool may be named in several ways.
            if place in current and current[place] == replace(entry, tool=current[place].tool):
                self._changes.record("override", entry.about, "unchanged")
                continue
            if not self._options.dry_run:
                override = ToolOverride(
                    entry.name, entry.title, entry.description, entry.category, dict(entry.parameters)
                )
                await self._overrides.set(self._tenant_id, place[0], override, place[1])
            self._changes.record("override", entry.about, "changed" if place in current else "added")
        if self._options.prune:
            for place in [place for place in current if place not in kept]:
                if not self._options.dry_run:
                    await self._overrides.remove(self._tenant_id, *place)
                self._changes.record("override", current[place].about, "removed")

    async def _place(self, entry: OverrideEntry, profiles: Mapping[str, int]) -> tuple[int, int | None]:
        tool = await tool_by_name(self._database, self._tenant_id, entry.tool)
        if entry.profile is not None and entry.profile not in profiles:
            raise NotFoundError(f"There is no profile {entry.profile!r}.")
        return tool.id, None if entry.profile is None else profiles[entry.profile]

    async def apply_disabled_tools(self, names: tuple[str, ...]) -> None:
        """Switch tools off, and with `prune` all others on."""
        current = {
            row["tool_id"]: row["tool"] for row in await self._database.fetch("switched_off_tools", self._tenant_id)
        }
        kept = set()
        for name in names:
            try:
                tool = await tool_by_name(self._database, self._tenant_id, name)
                if tool.id not in current and not self._options.dry_run:
                    await set_tool_enabled(self._database, self._tenant_id, tool.id, enabled=False)
            except NotFoundError:
                self._changes.record("disabled tool", name, "skipped", NOT_THERE_YET)
                continue
            kept.add(tool.id)
            self._changes.record("disabled tool", name, "unchanged" if tool.id in current else "added")
        if self._options.prune:
            for tool_id in sorted(current.keys() - kept):
                if not self._options.dry_run:
                    await set_tool_enabled(self._database, self._tenant_id, tool_id, enabled=True)
                self._changes.record("disabled tool", current[tool_id], "removed")
