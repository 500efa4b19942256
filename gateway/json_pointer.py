"""JSON pointers (RFC 6901): a place in a JSON value, as its steps from the outside in, each behind a slash."""

from __future__ import annotations

import re


def join_pointer(pointer: str, *steps: str | int) -> str:
    """`pointer` (empty for the whole value) prolonged by keys of objects and positions in arrays."""
    return pointer + "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)


def split_pointer(pointer: str) -> list[str]:
    """The steps of a pointer. Raises ValueError where it is none."""
    if (pointer and not pointer.startswith("/")) or re.search(r"~(?![01])", pointer):
        raise ValueError(f"{pointer!r} is not a JSON pointer")
    return [unescape_step(step) for step in pointer.split("/")[1:]]


def unescape_step(step: str) -> str:
    """The key that a step of a pointer stands for."""
    return step.replace("~1", "/").replace("~0", "~")
