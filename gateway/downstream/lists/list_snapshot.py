"""What is known of the lists of a caller without asking a server, and whether it is news to somebody."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from gateway.json_codec import encode

ListKind = Literal["prompts", "resources", "resourceTemplates"]

LIST_KINDS: tuple[ListKind, ...] = ("prompts", "resources", "resourceTemplates")

NAME_FIELDS: dict[ListKind, str] = {"prompts": "name", "resources": "uri", "resourceTemplates": "uriTemplate"}
"""The member of an item that tells it from the others of its list."""

ListKey: TypeAlias = "tuple[int, ListKind]"
"""A server and one of its lists."""


@dataclass(frozen=True, slots=True)
class ListState:
    """What is known of one list of one server.

    `name_parts` is what the names of its items are made with. `digest` is that of what the server lists, None where it
    was not asked; `change_count` is how often it said meanwhile that the list has changed.
    """

    name_parts: tuple[str | None, ...]
    digest: bytes | None
    change_count: int = 0


ListSnapshot: TypeAlias = Mapping[ListKey, ListState]
"""What is known of each list."""


def digest_items(items: Sequence[Any]) -> bytes:
    """The same for items that read the same."""
    return hashlib.sha256(encode(list(items))).digest()


EMPTY_DIGEST = digest_items(())


def has_changed(before: ListSnapshot, after: ListSnapshot) -> bool:
    """Whether a list that somebody may have seen at `before` reads otherwise at `after`."""
    return any(_has_changed(before.get(key), after.get(key)) for key in before.keys() | after.keys())


def new_unknown_lists(before: ListSnapshot, after: ListSnapshot) -> set[ListKey]:
    """The lists that are new since `before`, of which it has to be asked whether there is anything in them."""
    return {key for key, state in after.items() if state.digest is None and key not in before}


def _has_changed(before: ListState | None, after: ListState | None) -> bool:
    if before is None or after is None:
        only = before or after
        # Nothing is shown of a list that is not known yet when it comes; it may have been shown when it goes.
        return only is not None and only.digest != EMPTY_DIGEST and (only.digest is not None or after is None)
    if before.digest is None or after.digest is None:
        # That somebody asks for the first time is no change: nobody has been shown another list.
        return before.change_count != after.change_count
    return before.digest != after.digest or (before.name_parts != after.name_parts and after.digest != EMPTY_DIGEST)
