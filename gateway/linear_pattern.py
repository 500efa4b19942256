"""Regular expressions over text from outside, in time linear in the text whatever it and the pattern are (RE2).

Python's own patterns go back over what they have read, some of them for hours, and hold the interpreter meanwhile.
Of their syntax RE2 has no lookaround and no back-references, and `\\b`, `\\w`, `\\d` and `\\s` mean ASCII:
https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import re2


class ReadText(str):
    """A text that many patterns read: what they read of it is made once."""

    @cached_property
    def utf8(self) -> bytes:
        """It as RE2 reads it, which knows no halves of surrogate pairs: one letter stands in the place of each."""
        return self.encode(errors="replace")


class LinearPattern:
    """A compiled pattern. Texts may hold anything that a Python string can."""

    def __init__(self, pattern: str, *, captures: bool = False, memory_bytes: int | None = None) -> None:
        """Groups are no more than brackets, unless it `captures`. With more `memory_bytes` than RE2's own 8 MiB a large
        pattern stays fast. Raises ValueError with RE2's reason.
        """
        options = re2.Options()
        if memory_bytes is not None:
            options.max_mem = memory_bytes
        options.never_capture = not captures
        options.log_errors = False
        self.pattern = pattern
        try:
            # Over texts RE2's module counts letters anew for each match; bytes are counted here, once.
            self._compiled = re2.compile(pattern.encode(), options)
        except (re2.error, UnicodeEncodeError) as error:
            reason = error.args[0]
            raise ValueError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(error)) from None

    def matches_in(self, text: str) -> Iterator[tuple[int, int]]:
        """Beginning and end of each match in `text`, from left to right, none of which overlap.

        Each search is linear, and so are all of them where a pattern looks no further than what it matches, or only so
        and so far.
        """
        for span, _ in self._matches(text):
            yield span

    def captures_in(self, text: str) -> Iterator[tuple[tuple[int, int], tuple[str, ...]]]:
        """The matches in `text`, each with what its groups have captured, which is empty where one has nothing."""
        for span, match in self._matches(text):
            yield span, tuple(group.decode() for group in match.groups(b""))

    def find(self, text: str) -> tuple[int, int] | None:
        """Beginning and end of the first match in `text`."""
        return next(self.matches_in(text), None)

    def texts_in(self, text: str) -> Iterator[str]:
        """Each match in `text`."""
        for start, end in self.matches_in(text):
            yield text[start:end]

    def replace(self, text: str, replacement: str | Callable[[tuple[str, ...]], str]) -> str:
        """`text` with `replacement` in place of each match, or with what that makes of its captured groups."""
        pieces, last = [], 0
        for (start, end), groups in self.captures_in(text):
            pieces += [text[last:start], replacement if isinstance(replacement, str) else replacement(groups)]
            last = end
        return "".join([*pieces, text[last:]]) if pieces else text

    def _matches(self, text: str) -> Iterator[tuple[tuple[int, int], Any]]:
        """Each match with where it stands in `text`, in letters."""
        read = text.utf8 if isinstance(text, ReadText) else text.encode(errors="replace")
        if len(read) == len(text):
            for match in self._compiled.finditer(read):
                yield match.span(), match
            return
        start = end = position = 0
        for match in self._compiled.finditer(read):
            first, last = match.span()
            start = end + len(read[position:first].decode())
            end = start + len(read[first:last].decode())
            position = last
            yield (start, end), match
