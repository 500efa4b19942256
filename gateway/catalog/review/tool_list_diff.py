"""What differs between two lists of a server's tools: two versions, or what it listed before and what it lists now."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gateway.catalog.review.definition_diff import FieldChange, diff_definitions
from gateway.catalog.tool import ToolDefinition


@dataclass(frozen=True)
class ToolChange:
    """A tool that is in both lists, with another definition."""

    before: ToolDefinition
    after: ToolDefinition

    @property
    def name(self) -> str:
        return self.after.name

    @functools.cached_property
    def fields(self) -> tuple[FieldChange, ...]:
        """The fields in which the two definitions differ."""
        return diff_definitions(self.before.raw, self.after.raw)

    @property
    def breaking(self) -> bool:
        """Whether a caller of the one can be broken by the other."""
        return any(field.breaking for field in self.fields)


@dataclass(frozen=True)
class ToolListDiff:
    """What leads from one list of tools to another, by the upstream's own tool names."""

    added: tuple[ToolDefinition, ...]
    removed: tuple[ToolDefinition, ...]
    changed: tuple[ToolChange, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @property
    def added_names(self) -> tuple[str, ...]:
        return tuple(tool.name for tool in self.added)

    @property
    def removed_names(self) -> tuple[str, ...]:
        return tuple(tool.name for tool in self.removed)

    @property
    def changed_names(self) -> tuple[str, ...]:
        return tuple(tool.name for tool in self.changed)

    @property
    def new_definitions(self) -> tuple[ToolDefinition, ...]:
        """Those that were not in the list before: of added tools and of changed ones."""
        return (*self.added, *(tool.after for tool in self.changed))

    @functools.cached_property
    def renamed(self) -> tuple[tuple[str, str], ...]:
        """Tools that are the same but for their name, (before, after); they are among the added and removed too."""
        candidates = {tool.name: _without_name(tool) for tool in self.added}
        renamed = []
        for tool in self.removed:
            former = _without_name(tool)
            name = next((name for name, definition in candidates.items() if definition == former), None)
            if name is not None:
                del candidates[name]
                renamed.append((tool.name, name))
        return tuple(renamed)

    @property
    def breaking(self) -> bool:
        """Whether a caller of the one can be broken by the other: tools removed or renamed, or changed so."""
        return bool(self.removed) or any(tool.breaking for tool in self.changed)


def diff_tool_lists(before: Iterable[ToolDefinition], after: Iterable[ToolDefinition]) -> ToolListDiff:
    """The difference of two lists, in neither of which a name stands twice."""
    former = {tool.name: tool for tool in before}
    listed = {tool.name: tool for tool in after}
    return ToolListDiff(
        added=tuple(tool for name, tool in listed.items() if name not in former),
        removed=tuple(tool for name, tool in former.items() if name not in listed),
        changed=tuple(
            ToolChange(former[name], tool)
            for name, tool in listed.items()
            if name in former and former[name].content_hash != tool.content_hash
        ),
    )


def _without_name(tool: ToolDefinition) -> dict[str, Any]:
    return {key: value for key, value in tool.raw.items() if key not in ("name", "title")}
