"""Characters that a person does not see and a model reads, and text that stands where nobody looks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from gateway.catalog.scan.definition_text import DefinitionText
from gateway.catalog.scan.finding import Finding, Severity
from gateway.catalog.scan.letters import disguised, words

_SHOWN_CHARACTERS = 120
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


def hidden(passage: DefinitionText) -> Iterator[Finding]:
    """Findings about the characters of one passage."""
    text = passage.text
    if text.isascii() and text.isprintable():
        return
    if not text.isascii():
        yield from _invisible(passage, _FLAG.sub("", text))
        for word in words(text):
            if disguised(word):
                severity: Severity = "high" if passage.name else "medium"
                yield _found(
                    passage,
                    "disguised letters",
                    severity,
                    word,
                    "A word mixes letters that look alike.",
                )
                break
    control = _CONTROL.search(text)
    if control:
        shown = text[control.start() :]
        yield _found(passage, "control characters", "high", shown, "It holds characters that steer a terminal.")
    for space in _SPACE.finditer(text):
        far = space[0].count("\n") >= _BLANK_LINES or max(map(len, space[0].split("\n"))) >= _BLANK_COLUMNS
        if far and space.end() < len(text):
            rest = text[space.end() :]
            yield _found(passage, "text out of sight", "medium", rest, "Text follows where nobody scrolls to.")
            break


def _invisible(passage: DefinitionText, text: str) -> Iterator[Finding]:
    tags = _TAG.search(text)
    if tags:
        said = "".join(chr(ord(character) - 0xE0000) for character in tags[0])
        yield _found(passage, "invisible text", "high", said, "It holds text in characters that are not displayed.")
    if _SELECTOR.search(text):
        yield _found(passage, "invisible text", "high", text, "It holds data in characters that are not displayed.")
    bidirectional = _BIDIRECTIONAL.search(text)
    if bidirectional:
        yield _found(
            passage,
            "reversed text",
            "high",
            text[bidirectional.start() :],
            "It is shown in another order.",
        )
    # At the very start it is a byte order mark, and no more than untidy.
    if _ZERO_WIDTH.search(text.removeprefix("\ufeff")):
        yield _found(passage, "invisible characters", "high", text, "It holds characters of no width.")
    elif passage.name and _JOINER.search(text):
        yield _found(passage, "invisible characters", "high", text, "A name holds characters of no width.")
    elif any(_stray(text, joiner.start()) for joiner in _JOINER.finditer(text)):
        yield _found(passage, "invisible characters", "medium", text, "It holds joiners with nothing to join.")


def _stray(text: str, position: int) -> bool:
    """Whether a joiner stands where no script and no emoji has one: between Latin letters, spaces, or nothing."""
    around = text[position - 1 : position] + text[position + 1 : position + 2]
    return len(around) < 2 or all(
        character.isascii() or unicodedata.category(character) in ("Cf", "Zs") for character in around
    )


def _found(passage: DefinitionText, rule: str, severity: Severity, excerpt: str, reason: str) -> Finding:
    escaped = excerpt[:_SHOWN_CHARACTERS].encode("unicode_escape").decode()
    return Finding(rule, passage.place, severity, escaped, reason)
