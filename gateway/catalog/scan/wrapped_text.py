"""Text that is wrapped so that a person passes over it: encoded, or in a comment."""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterator
from itertools import islice
from urllib.parse import unquote

from gateway.catalog.scan.finding import Finding
from gateway.catalog.scan.letters import normalize_text
from gateway.catalog.scan.wording import find_wording
from gateway.linear_pattern import LinearPattern

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{24,}={0,2}")
_HEXADECIMAL = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}[ :]?){20,}")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2}[\w.-]{0,20}){6,}")
_ENTITIES = re.compile(r"(?:&#x?[0-9A-Fa-f]{2,5};[ ]?){6,}")
_ESCAPES = re.compile(r"(?:\\(?:u00|x)[0-9A-Fa-f]{2}){6,}")
_MARKDOWN_COMMENT = re.compile(r"^\[(?://|comment)\]: ?#? ?[(\"'](.*)$", re.MULTILINE)
_INVISIBLE_STYLE = LinearPattern(
    r"(?i)<[^>]{0,200}(?:display: ?none|font-size: ?0|visibility: ?hidden|opacity: ?0)[^>]{0,200}>"
)
_ADDRESSES_MODEL = LinearPattern(
    r"\b(?:assistant|ai|llm|model|agent|claude|chatgpt|you (?:must|should|have)|always|never|secret\w*)\b.*\b"
    r"(?:send|fetch|read|call|include|use|run|reply|say|ignore|reveal|follow|return|tell)\b"
)


def find_wrapped_text(place: str, text: str) -> Iterator[Finding]:
    """Findings in what a text holds in another form than its own."""
    for kind, hidden in _unwrap(text):
        found = list(find_wording(place, normalize_text(hidden), f" It is {kind}."))
        yield from found
        if not found:
            excerpt = hidden[:120]
            yield Finding("wrapped text", place, "low", excerpt, f"It holds text that is {kind}.")
    for comment in (*_html_comments(text), *_MARKDOWN_COMMENT.findall(text)):
        inside = normalize_text(comment)
        found = list(find_wording(place, inside, " It is in a comment."))
        yield from found
        if not found and _ADDRESSES_MODEL.find(inside):
            yield Finding("wrapped text", place, "medium", inside[:120], "A comment speaks to the model.")
    for styled in islice(_INVISIBLE_STYLE.texts_in(text), 1):
        yield Finding("wrapped text", place, "medium", styled[:120], "It holds text that is styled not to be seen.")


def _html_comments(text: str) -> Iterator[str]:
    """What stands in comments of HTML; one that is not closed goes to the end."""
    start = text.find("<!--")
    while start >= 0:
        end = text.find("-->", start + 4)
        yield text[start + 4 : end if end >= 0 else len(text)]
        start = text.find("<!--", end) if end >= 0 else -1


def _unwrap(text: str) -> Iterator[tuple[str, str]]:
    for match in _BASE64.finditer(text):
        with_padding = match[0].rstrip("=").replace("-", "+").replace("_", "/")
        try:
            decoded = base64.b64decode(with_padding + "=" * (-len(with_padding) % 4))
        except (ValueError, binascii.Error):
            continue
        yield from _as_sentence("encoded in base64", decoded)
    for match in _HEXADECIMAL.finditer(text):
        digits = re.sub(r"[^0-9A-Fa-f]", "", match[0])
        yield from _as_sentence("encoded in hexadecimal", bytes.fromhex(digits[: len(digits) // 2 * 2]))
    for match in _PERCENT.finditer(text):
        yield from _as_sentence("encoded as in a URL", unquote(match[0]).encode())
    for match in _ENTITIES.finditer(text):
        yield from _as_sentence("encoded as in HTML", html.unescape(match[0]).encode())
    for match in _ESCAPES.finditer(text):
        codes = re.findall(r"\\(?:u00|x)([0-9A-Fa-f]{2})", match[0])
        yield from _as_sentence("written in escapes", bytes(int(code, 16) for code in codes))


def _as_sentence(kind: str, decoded: bytes) -> Iterator[tuple[str, str]]:
    """What was decoded, where it is a sentence and not just any bytes."""
    try:
        text = decoded.decode()
    except UnicodeDecodeError:
        return
    if text.count(" ") >= 3 and all(character.isprintable() or character in "\r\n\t" for character in text):
        yield kind, text
