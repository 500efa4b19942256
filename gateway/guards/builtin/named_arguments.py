"""Texts in arguments, each with the name of the argument that it is, or is in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.errors import InvalidInputError
from gateway.json_pointer import split_pointer

_NAME_CHARACTERS = 64
# outputPath is called as output_path is.
_NEXT_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class NamedText:
    """A text, the argument's name in lower case with its words apart, and whether the rule names it.

    A key of an object is a text without a name.
    """

    name: str
    text: str
    is_named: bool


class NamedArguments:
    """Finds the texts in arguments; `pointers` are JSON pointers to those that are looked at whatever they say."""

    def __init__(self, pointers: Sequence[str]) -> None:
        """Raises InvalidInputError for a pointer that is none."""
        self._pointers = [_steps(pointer) for pointer in pointers]

    def texts_in(self, arguments: Any) -> Iterator[NamedText]:
        """With pointers, only what they lead to and what is below that; without, every text."""
        pending: list[tuple[str, Any, list[list[str]], bool]] = [("", arguments, self._pointers, False)]
        while pending:
            name, value, pointers, is_named = pending.pop()
            is_named = is_named or [] in pointers
            if isinstance(value, str):
                if is_named or not self._pointers:
                    yield NamedText(name, value, is_named)
            elif isinstance(value, Mapping):
                for key, part in value.items():
                    if is_named or not self._pointers:
                        yield NamedText("", key, False)
                    pending.append((_words_apart(key), part, _below(pointers, key), is_named))
            elif isinstance(value, list):
                for position, part in enumerate(value):
                    pending.append((name, part, _below(pointers, str(position)), is_named))


def _words_apart(name: str) -> str:
    return _NEXT_WORD.sub("_", name[-_NAME_CHARACTERS:]).lower()


def _below(pointers: Sequence[list[str]], step: str) -> list[list[str]]:
    return [pointer[1:] for pointer in pointers if pointer and pointer[0] in (step, "*")]


def _steps(pointer: str) -> list[str]:
    try:
        return split_pointer(pointer)
    except ValueError:
        raise InvalidInputError(f"{pointer!r} is not a JSON pointer; it begins with a slash, as /path does.") from None
