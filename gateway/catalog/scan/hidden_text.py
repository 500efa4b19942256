"""Characters that a person does not see and a model reads, and text that stands where nobody looks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from gateway.catalog.scan.definition_text import DefinitionText
from gateway.catalog.scan.finding import Finding, Severity
from gateway.catalog.scan.letters import find_words, is_disguised

_MAX_EXCERPT_CHARACTERS = 120
_TAG = re.compile("[\U000e0000-\U000e007f]+")
# The flags of England, Scotland and Wales are a black flag and tags.
_FLAG = re.compile("\U0001f3f4[\U000e0061-\U000e007a\U000e0030-\U000e0039]{2,6}\U000e007f")
_BIDIRECTIONAL = re.compile("[\u202a-\u202e\u2066-\u2069]")
_ZERO_WIDTH = re.compile("[\u200b\u2060-\u2064\u206a-\u206f\ufeff\u180e\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5]")
_JOINER = re.compile("[\u200c\u200d]")
_SELECTOR = re.compile("[\U000e0100-\U000e01ef]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
_SPACE = re.compile(r"\s+")
# More than a page of nothing, or more than a line.
_BLANK_LINES = 25
_BLANK_COLUMNS = 120


def find_hidden_text(part: DefinitionText) -> Iterator[Finding]:
    """Findings about the characters of one text."""
    text = part.text
    if text.isascii() and text.isprintable():
        return
    if not text.isascii():
        yield from _find_invisible(part, _FLAG.sub("", text))
        for word in find_words(text):
            if is_disguised(word):
                severity: Severity = "high" if part.is_name else "medium"
                yield _finding(
                    part,
                    "disguised letters",
                    severity,
                    word,
                    "A word mixes letters that look alike.",
                )
                break
    control = _CONTROL.search(text)
    if control:
        shown = text[control.start() :]
        yield _finding(part, "control characters", "high", shown, "It holds characters that steer a terminal.")
    for space in _SPACE.finditer(text):
        far = space[0].count("\n") >= _BLANK_LINES or max(map(len, space[0].split("\n"))) >= _BLANK_COLUMNS
        if far and space.end() < len(text):
            rest = text[space.end() :]
            yield _finding(part, "text out of sight", "medium", rest, "Text follows where nobody scrolls to.")
            break


def _find_invisible(part: DefinitionText, text: str) -> Iterator[Finding]:
    tags = _TAG.search(text)
    if tags:
        decoded = "".join(chr(ord(character) - 0xE0000) for character in tags[0])
        yield _finding(part, "invisible text", "high", decoded, "It holds text in characters that are not displayed.")
    if _SELECTOR.search(text):
        yield _finding(part, "invisible text", "high", text, "It holds data in characters that are not displayed.")
    bidirectional = _BIDIRECTIONAL.search(text)
    if bidirectional:
        yield _finding(
            part,
            "reversed text",
            "high",
            text[bidirectional.start() :],
            "It is shown in another order.",
        )
    # At the very start it is a byte order mark, and no more than untidy.
    if _ZERO_WIDTH.search(text.removeprefix("\ufeff")):
        yield _finding(part, "invisible characters", "high", text, "It holds characters of no width.")
    elif part.is_name and _JOINER.search(text):
        yield _finding(part, "invisible characters", "high", text, "A name holds characters of no width.")
    elif any(_joins_nothing(text, joiner.start()) for joiner in _JOINER.finditer(text)):
        yield _finding(part, "invisible characters", "medium", text, "It holds joiners with nothing to join.")


def _joins_nothing(text: str, position: int) -> bool:
    """Whether a joiner stands where no script and no emoji has one: between Latin letters, spaces, or nothing."""
    around = text[position - 1 : position] + text[position + 1 : position + 2]
    return len(around) < 2 or all(
        character.isascii() or unicodedata.category(character) in ("Cf", "Zs") for character in around
    )


def _finding(part: DefinitionText, rule: str, severity: Severity, excerpt: str, reason: str) -> Finding:
    escaped = excerpt[:_MAX_EXCERPT_CHARACTERS].encode("unicode_escape").decode()
    return Finding(rule, part.place, severity, escaped, reason)
