"""What a scan finds in a tool's definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: the `rule`, the `place` in the definition as a JSON pointer, and the `excerpt` that it is about.

    `low` is worth a look and nothing more; `medium` and `high` are held against the tool. `reason` is a sentence.
    """

    rule: str
    place: str
    severity: Severity
    excerpt: str
    reason: str

    @property
    def is_serious(self) -> bool:
        """Whether it is held against the tool."""
        return self.severity != "low"


@dataclass(frozen=True, slots=True)
class OtherTool:
    """A tool of another server in the same tenant, which a tool may try to pass for.

    `id` says who was there first: a tool has a larger one than all that were listed before it.
    """

    name: str
    exposed_name: str
    server: str
    slug: str
    id: int = 0
    server_id: int = 0
