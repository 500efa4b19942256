"""What is known of the lists of a caller without asking a server, and whether it is news to somebody."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Kind = Literal["prompts", "resources", "resourceTemplates"]

KINDS: tuple[Kind, ...] = ("prompts", "resources", "resourceTemplates")


@dataclass(frozen=True, slots=True)
class ListState:
    """What is known of one list of one server.

    `named` is what the names of its items are made with. `digest` is that of what the server lists, None where it was
    not asked; `said` counts how often it said meanwhile that the list has changed.
    """

    named: tuple[str | None, ...]
    digest: bytes | None
    said: int = 0


ListSnapshot: TypeAlias = Mapping[tuple[int, Kind], ListState]
"""By server and kind of list."""


def digest_of(items: Sequence[Any]) -> bytes:
    """The same for items that read the same."""
    return hashlib.sha256(json.dumps(items).encode()).digest()


EMPTY = digest_of(())


def differs(before: ListSnapshot, after: ListSnapshot) -> bool:
    """Whether a list that somebody may have seen at `before` reads otherwise at `after`."""
    return any(_differs(before.get(key), after.get(key)) for key in before.keys() | after.keys())


def unasked(before: ListSnapshot, after: ListSnapshot) -> set[tuple[int, Kind]]:
    """The lists that are new since `before`, of which it has to be asked whether there is anything in them."""
    return {key for key, known in after.items() if known.digest is None and key not in before}


def _differs(before: ListState | None, after: ListState | None) -> bool:
    if before is None or after is None:
        there = before or after
        # Nothing is shown of a list that is not known yet when it comes; it may have been shown when it goes.
        return there is not None and there.digest != EMPTY and (there.digest is not None or after is None)
    if before.digest is None or after.digest is None:
        # That somebody asks for the first time is no change: nobody has been shown another list.
        return before.said != after.said
    return before.digest != after.digest or (before.named != after.named and after.digest != EMPTY)
