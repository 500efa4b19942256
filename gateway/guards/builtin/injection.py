"""Passages of results that speak to the model, hide from the reader, or have a client give something away.

The wording is that for which definitions of tools are scanned, in one pass over a text that may be a thousand times as
long: as it stands there, and in no disguise but what gives itself away by its letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gateway.catalog.scan.definition_text import DefinitionText
from gateway.catalog.scan.hidden_text import find_hidden_text
from gateway.catalog.scan.letters import normalize_text
from gateway.catalog.scan.wording import RULES, find_wording
from gateway.catalog.scan.wrapped_text import find_wrapped_text
from gateway.guards.builtin.host_allowlist import host_port
from gateway.linear_pattern import LinearPattern
from gateway.sensitive_text.masked import Masked, TextSpan, mask_spans

_KIND = "passage"
# How far a pattern without an end looks: else many of its beginnings, each followed by none, would be read to the end.
_REACH = 100
_REST_CHARACTERS = 60
_AROUND_CHARACTERS = 8
_MAX_WRAPPED = 200
_WRAPPED_CHARACTERS = 4_000
# Room for the states of so large a pattern. Most texts need a few MiB; without room it takes a far slower way.
_MEMORY_BYTES = 256 * 1024 * 1024

_HIDDEN = LinearPattern(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]+"
    r"|[\x{200b}-\x{200d}\x{202a}-\x{202e}\x{2060}-\x{2069}\x{206a}-\x{206f}\x{feff}\x{180e}\x{115f}\x{1160}\x{3164}\x{ffa0}"
    r"\x{34f}\x{17b4}\x{17b5}\x{e0000}-\x{e01ef}]+"
    r"|[A-Za-z]+[\x{370}-\x{52f}]\pL*|[\x{370}-\x{52f}]+[A-Za-z]\pL*"
)
_WRAPPED = LinearPattern(
    r"<!--(?s:.{0,300}?)-->|(?m:^\[(?://|comment)\]: ?#? ?[(\"'].{0,300}$)|[A-Za-z0-9+/]{60,}={0,2}"
    r"|(?:%[0-9A-Fa-f]{2}[\w.-]{0,20}){6,}|(?:&#x?[0-9A-Fa-f]{2,5};[ ]?){6,}|(?:\\(?:u00|x)[0-9A-Fa-f]{2}){6,}"
    r"|(?i:<[^<>]*(?:display: ?none|font-size: ?0|visibility: ?hidden|opacity: ?0)[^<>]*>)"
)
# As browsers have it: any slashes, in whatever case, and without a scheme.
_ELSEWHERE = r"(?i:(?:https?:[/\\]?|[/\\])[/\\])"
_LINK_SOURCE = (
    rf"!?\[[^\]\[]*\]\(\s{{0,3}}<?({_ELSEWHERE}[^\s)>]+)"
    r"|<(?i:img|iframe|embed|object|source|video|audio|script|link|a)\b[^<>]*?\b(?i:src|href|data)\s{0,3}=\s{0,3}[\"']?"
    rf"({_ELSEWHERE}[^\s\"'<>]+)"
)
_LINK = LinearPattern(_LINK_SOURCE)
# To find out what is captured takes several times as long, and few texts have many links.
_ADDRESS = LinearPattern(_LINK_SOURCE, captures=True)
_HOST = re.compile(r"(?i)(?:https?:)?[/\\]*[^/\\]*")
# What a model is to put something into, and what it has put there already.
_PLACEHOLDER = re.compile(r"\{|\$|%7[bB]|<|\[|%5[bB]|…|\.\.\.|(?:[A-Za-z0-9+/_-]|%[0-9A-Fa-f]{2}){64}")
_SAID_ALOUD = re.compile(
    r"[?&](?:data|secrets?|q|query|text|msg|message|content|payload|info|leak|exfil\w*|d|c)=", re.IGNORECASE
)


def _loosened(pattern: str) -> str:
    """A pattern over normal text as one over text as it stands: any space for a space, and no reach without end."""
    made: list[str] = []
    in_class = False
    position = 0
    while position < len(pattern):
        character = pattern[position]
        following = pattern[position + 1 : position + 2]
        if character == "\\":
            made.append(pattern[position : position + 2])
            position += 2
            continue
        if in_class:
            in_class = character != "]" or made[-1] in ("[", "[^")
            made.append(r"\s" if character == " " else character)
        elif character == "[":
            in_class = True
            made.append("[^" if following == "^" else "[")
            position += following == "^"
        elif character == " ":
            made.append(r"\s*" if following == "?" else r"\s" if following in ("*", "+", "{") else r"\s+")
            position += following == "?"
        elif character in "*+" and made and (made[-1] == "." or made[-1] == "]"):
            made.append(f"{{{int(character == '+')},{_REACH}}}")
        else:
            made.append(character)
        position += 1
    return "".join(made)


_WORDING = LinearPattern(
    "(?ims)"
    + "|".join(
        f"(?:{_loosened(source)})"
        for rule in RULES
        if rule.severity != "low"
        for source in (rule.pattern.pattern, *(pattern.pattern for pattern, _ in rule.excusable))
        if source
    ),
    memory_bytes=_MEMORY_BYTES,
)


class InjectionFinder:
    """Finds them; links and pictures that lead to one of `hosts` give nothing away."""

    def __init__(self, hosts: Sequence[str] = ()) -> None:
        self._hosts = {host.lower().removeprefix("*.") for host in hosts}

    def may_hold(self, text: str) -> bool:
        """Whether there is one in `text`."""
        return next(self.find(text), None) is not None

    def mask(self, text: str) -> Masked:
        """`text` without them, in time linear in it."""
        return mask_spans(text, self.find(text))

    def find(self, text: str) -> Iterator[TextSpan]:
        """Where they stand in `text`, kind after kind."""
        yield from _find_wording(text)
        if not text.isascii() or not text.isprintable():
            yield from _find_hidden(text)
        yield from self._find_links(text)
        yield from _find_wrapped(text)

    def _find_links(self, text: str) -> Iterator[TextSpan]:
        """Links and pictures whose addresses have something put into them."""
        if "](" not in text and "<" not in text:
            return
        for start, end in _LINK.matches_in(text):
            url = next((groups[0] or groups[1] for _, groups in _ADDRESS.captures_in(text[start:end])), "")
            is_shown = text[start] == "!" or (text[start : start + 2].lower() != "<a" and text[start] == "<")
            if not self._is_allowed(url) and _gives_away(url, is_shown=is_shown):
                yield TextSpan(start, end, _KIND)

    def _is_allowed(self, url: str) -> bool:
        place = host_port(url)
        if place is None:
            return False
        labels = place.host.split(".")
        return any(".".join(labels[at:]) in self._hosts for at in range(len(labels)))


def _gives_away(url: str, *, is_shown: bool) -> bool:
    """Whether an address takes something along: a place for it, or a long text that nobody would write.

    What is shown at once is asked for without a click, so that a query with a telling name is enough.
    """
    address, _, rest = url.partition("?")
    path = address[_HOST.match(address).end() :]  # type: ignore[union-attr]
    if _PLACEHOLDER.search(rest):
        return True
    return is_shown and bool(_PLACEHOLDER.search(path) or _SAID_ALOUD.search(f"?{rest}" if rest else ""))


def _find_wording(text: str) -> Iterator[TextSpan]:
    for start, end in _WORDING.matches_in(text):
        if text[start] == "!":
            # A picture, of which it is its address that decides.
            continue
        # What excuses a wording stands in it or behind it.
        passage = normalize_text(text[start : end + _REST_CHARACTERS])
        if any(finding.is_serious for finding in find_wording("", passage)):
            yield TextSpan(start, end, _KIND)


def _find_hidden(text: str) -> Iterator[TextSpan]:
    for start, end in _HIDDEN.matches_in(text):
        around = text[max(0, start - _AROUND_CHARACTERS) : end + _AROUND_CHARACTERS]
        if any(finding.is_serious for finding in find_hidden_text(DefinitionText("", around))):
            yield TextSpan(start, end, _KIND)


def _find_wrapped(text: str) -> Iterator[TextSpan]:
    # The same comment stands in many a text many times.
    known: dict[str, bool] = {}
    for start, end in _WRAPPED.matches_in(text):
        wrapped = text[start:end][:_WRAPPED_CHARACTERS]
        if wrapped not in known:
            if len(known) == _MAX_WRAPPED:
                return
            known[wrapped] = any(finding.is_serious for finding in find_wrapped_text("", wrapped))
        if known[wrapped]:
            yield TextSpan(start, end, _KIND)
