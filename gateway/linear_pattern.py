"""Regular expressions over text from outside, in time linear in the text whatever it and the pattern are (RE2).

Python's own patterns go back over what they have read, some of them for hours, and hold the interpreter meanwhile.
Of their syntax RE2 has no lookaround and no back-references, and `\\b`, `\\w`, `\\d` and `\\s` mean ASCII:
https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import re2


class LinearPattern:
    """A compiled pattern. Texts may hold anything that a Python string can."""

    def __init__(self, pattern: str, *, captures: bool = False) -> None:
        """Groups are no more than brackets, unless it `captures`. Raises ValueError with RE2's reason."""
        options = re2.Options()
        options.never_capture = not captures
        options.log_errors = False
        self.pattern = pattern
        try:
            self._compiled = re2.compile(pattern, options)
        except (re2.error, UnicodeEncodeError) as error:
            reason = error.args[0]
            raise ValueError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(error)) from None

    def matches_in(self, text: str) -> Iterator[tuple[int, int]]:
        """Beginning and end of each match in `text`, from left to right, none of which overlap.

        Each search is linear, and so are all of them where a pattern looks no further than what it matches, or only so
        and so far.
        """
        for match in self._compiled.finditer(_encodable(text)):
            yield match.span()

    def find(self, text: str) -> tuple[int, int] | None:
        """Beginning and end of the first match in `text`."""
        return next(self.matches_in(text), None)

    def texts_in(self, text: str) -> Iterator[str]:
        """Each match in `text`."""
        for start, end in self.matches_in(text):
            yield text[start:end]

    def replace(self, text: str, replacement: str | Callable[[tuple[str, ...]], str]) -> str:
        """`text` with `replacement` in place of each match, or with what that makes of its captured groups."""
        pieces, end = [], 0
        for match in self._compiled.finditer(_encodable(text)):
            made = replacement if isinstance(replacement, str) else replacement(match.groups(""))
            pieces += [text[end : match.start()], made]
            end = match.end()
        return "".join([*pieces, text[end:]]) if pieces else text


def _encodable(text: str) -> str:
    """`text` as UTF-8 can say it, as many characters: RE2 reads no halves of surrogate pairs."""
    return text if text.isascii() else text.encode(errors="replace").decode()
