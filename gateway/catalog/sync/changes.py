"""What differs between what a server listed before and what it lists now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.catalog.tool import ToolDefinition


@dataclass(frozen=True, slots=True)
class StoredTool:
    """A tool as the catalogue holds it, its definition as JSON.

    `text_hash` is that of the texts that have vectors, None without.
    """

    id: int
    name: str
    content_hash: bytes
    removed: bool
    text_hash: bytes | None
    definition: str


@dataclass(frozen=True, slots=True)
class Changes:
    """The outcome of a comparison. A tool that comes back counts as added; `returned` says which those are."""

    added: tuple[ToolDefinition, ...]
    returned: tuple[tuple[int, ToolDefinition], ...]
    changed: tuple[tuple[int, ToolDefinition], ...]
    removed: tuple[StoredTool, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.returned or self.changed or self.removed)


def compare(stored: Mapping[str, StoredTool], listed: Mapping[str, ToolDefinition]) -> Changes:
    """Both by the upstream's own tool name."""
    known = {name: tool for name, tool in listed.items() if name in stored}
    return Changes(
        added=tuple(tool for name, tool in listed.items() if name not in stored),
        returned=tuple((stored[name].id, tool) for name, tool in known.items() if stored[name].removed),
        changed=tuple(
            (stored[name].id, tool)
            for name, tool in known.items()
            if not stored[name].removed and stored[name].content_hash != tool.content_hash
        ),
        removed=tuple(tool for name, tool in stored.items() if name not in listed and not tool.removed),
    )
