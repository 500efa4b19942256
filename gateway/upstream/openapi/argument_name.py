"""Names of arguments that the interfaces of models take."""

from __future__ import annotations

import re
from collections.abc import Collection

_MAX_LENGTH = 64
_ALLOWED = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# Underscores beside it go with it; a longer run of them is not read again from each.
_NOT_ALLOWED = re.compile(r"_{0,8}[^A-Za-z0-9_.-]+_*")
# What some APIs put into a name in place of an operator of the query.
_OPERATORS = ((">=", "_gte"), ("<=", "_lte"), (">", "_gt"), ("<", "_lt"), ("!", "_not"))


def is_argument_name(name: str) -> bool:
    """Whether models can be given an argument of this name: 1 to 64 of `A-Z a-z 0-9 _ . -`."""
    return _ALLOWED.fullmatch(name) is not None


def unused_argument_name(name: str, other: str, taken: Collection[str]) -> str:
    """`name` in characters that models take, else `other` in them, else with a number: the first not yet `taken`."""
    for wanted in (name, other):
        allowed = _in_allowed_characters(wanted)
        if allowed not in taken:
            return allowed
    base, number = _in_allowed_characters(other), 2
    while (numbered := f"{base[: _MAX_LENGTH - len(str(number)) - 1]}_{number}") in taken:
        number += 1
    return numbered


def _in_allowed_characters(name: str) -> str:
    if is_argument_name(name):
        return name
    for operator, word in _OPERATORS:
        name = name.replace(operator, word)
    return _NOT_ALLOWED.sub("_", name).strip("_")[:_MAX_LENGTH] or "argument"
