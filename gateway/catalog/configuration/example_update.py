"""What a configuration says that people ask for when they mean a tool, made a tenant's own."""

from __future__ import annotations

from gateway.access.tool_names import tool_by_name
from gateway.catalog.configuration.change import NOT_THERE_YET, ApplyOptions, ChangeKind, ChangeList
from gateway.catalog.configuration.document import ExampleEntry
from gateway.catalog.examples.example_text import check_text, text_key
from gateway.catalog.examples.tool_examples import ToolExamples
from gateway.database.pool import Database
from gateway.errors import NotFoundError


class ExampleUpdate:
    """Adds and removes examples that admins give; what was learnt from use is no part of a configuration. A gateway
    that serves works out their effect within seconds.
    """

    def __init__(self, database: Database, tenant_id: int, options: ApplyOptions, changes: ChangeList) -> None:
        self._database = database
        self._examples = ToolExamples(database)
        self._tenant_id = tenant_id
        self._options = options
        self._changes = changes

    async def apply(self, entries: tuple[ExampleEntry, ...]) -> None:
        """Raises InvalidInputError for what cannot be an example, and for more than a tool has room for."""
        rows = await self._database.fetch("configured_examples", self._tenant_id)
        current = {(row["tool_id"], row["text_key"]): row for row in rows}
        kept = set()
        for entry in entries:
            try:
                tool_id = (await tool_by_name(self._database, self._tenant_id, entry.tool)).id
            except NotFoundError:
                self._changes.record("example", entry.tool, "skipped", NOT_THERE_YET)
                continue
            for text in entry.texts:
                cleaned = check_text(text)
                place = (tool_id, text_key(cleaned))
                kept.add(place)
                if place in current and current[place]["text"] == cleaned:
                    self._changes.record("example", f"{entry.tool}: {cleaned}", "unchanged")
                    continue
                if not self._options.dry_run:
                    await self._examples.add(self._tenant_id, tool_id, cleaned)
                change: ChangeKind = "changed" if place in current else "added"
                self._changes.record("example", f"{entry.tool}: {cleaned}", change)
        if self._options.prune:
            for place in [place for place in current if place not in kept]:
                row = current[place]
                if not self._options.dry_run:
                    await self._examples.remove(self._tenant_id, row["tool_id"], row["id"])
                self._changes.record("example", f"{row['tool']}: {row['text']}", "removed")
