"""A process of the cluster, and the ids that say which one holds what they stand for."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

_PREFIX = "m"
_ID_BYTES = 6
_ID_CHARACTERS = len(_PREFIX) + 2 * _ID_BYTES


@dataclass(frozen=True, slots=True)
class Member:
    """One process; `address` is where others reach it, `leaving` that it takes over nothing new."""

    id: str
    address: str
    leaving: bool = False


def new_member_id() -> str:
    """An id that no process has had before."""
    return _PREFIX + secrets.token_hex(_ID_BYTES)


def id_held_by(member_id: str, name: str) -> str:
    """An id that says which process holds what goes by `name` there."""
    return f"{member_id}-{name}"


def holder_of(held_id: str | None) -> str | None:
    """The process that an id of `id_held_by` names; None for any other id."""
    if held_id is None or held_id[_ID_CHARACTERS : _ID_CHARACTERS + 1] != "-":
        return None
    member_id = held_id[:_ID_CHARACTERS]
    digits = member_id.removeprefix(_PREFIX)
    is_member = member_id.startswith(_PREFIX) and all(digit in "0123456789abcdef" for digit in digits)
    return member_id if is_member else None
