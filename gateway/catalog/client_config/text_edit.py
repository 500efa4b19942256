"""Changes to a text that leave the rest of it as it is, byte by byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextEdit:
    """What stands from `start` to `end` (characters) is replaced."""

    start: int
    end: int
    replacement: str


def apply_edits(text: str, edits: Sequence[TextEdit]) -> str:
    """`text` with edits applied that do not overlap and are in their order."""
    for edit in reversed(edits):
        text = text[: edit.start] + edit.replacement + text[edit.end :]
    return text
