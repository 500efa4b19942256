"""What becomes of each thing that a configuration names, and how that is to be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Section = Literal["server", "role", "profile", "rule", "guard", "override", "disabled tool", "example"]
ChangeKind = Literal["added", "changed", "removed", "unchanged", "skipped"]

NOT_THERE_YET = "there is no such tool, server or profile yet; sync, then apply again"


@dataclass(frozen=True, slots=True)
class ConfigurationChange:
    """What becomes of one thing; `note` says why something is not as the document has it, or what is left to do."""

    section: Section
    name: str
    change: ChangeKind
    note: str | None = None


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """`values` are for `${NAME}` in the document. With `prune`, what is missing in a section that it has is removed; a
    `dry_run` changes nothing.
    """

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    prune: bool = False
    dry_run: bool = False


class ChangeList:
    """The changes in the order in which they are made."""

    def __init__(self) -> None:
        self.changes: list[ConfigurationChange] = []

    def record(self, section: Section, name: str, change: ChangeKind, note: str | None = None) -> None:
        self.changes.append(ConfigurationChange(section, name, change, note))
