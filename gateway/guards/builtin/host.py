"""The guard that lets arguments name some hosts only."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.guards.builtin.host_allowlist import HostAllowlist
from gateway.guards.builtin.named_arguments import NamedArguments, NamedText
from gateway.guards.content import Content
from gateway.guards.inspection import NOTHING_FOUND, Inspection, plural
from gateway.guards.options import AllowOptions
from gateway.linear_pattern import LinearPattern

_NAMES_HOST = re.compile(
    r"(?:^|_|-)(?:urls?|uris?|hosts?|host_?name|domains?|end_?point|web_?hook|web_?site|site|base_?url|server)$"
)
_SPECIAL = r"https?|wss?|ftp|file"
# Of these schemes browsers and curl take any slashes, of all others two.
_URL = LinearPattern(rf"(?i)(?:(?:{_SPECIAL}):[/\\]|[a-z][a-z0-9+.-]{{0,30}}:[/\\]{{2}})[^\s\"<>`]*")
_BEGINS_URL = re.compile(rf"(?i)(?:(?:{_SPECIAL}):|[a-z][a-z0-9+.-]*:[/\\]{{2}})")
_BEGINS_HOST = re.compile(r"[\w.-]+(?::[0-9]*)?[/?#\\]")
_AUTHORITY = re.compile(r"[/\\]*([^/\\?#]*)")
# Where a URL ends that stands in brackets or quotes, be it Markdown or code.
_CLOSES = re.compile(r"['|{}()\x5b\x5d]")
# What every parser leaves out of a URL, wherever it stands, and before and after it.
_LEFT_OUT = ("\t", "\r", "\n")
_AROUND = "".join(map(chr, range(33)))
_MAX_URL = 4_096


class HostGuard:
    """Allows hosts by name (`api.example.com`), by domain (`*.example.com`) and by network (`10.1.0.0/16`), each with a
    port where it is given (`api.example.com:443`). A host that is written in no plain way is none of them.

    What a URL is, and where its host ends, is as browsers have it: https://url.spec.whatwg.org/#url-parsing
    """

    def __init__(self, options: AllowOptions) -> None:
        """Raises InvalidInputError."""
        self._arguments = NamedArguments(options.arguments)
        self._allowed = HostAllowlist(options.allowed)

    def inspect_now(self, content: Content) -> Inspection:
        count = 0
        for text in self._arguments.texts_in(content.value):
            refused = sum(not self._allowed.allows(url) for url in set(_urls_in(text.text)))
            whole = None if refused else _whole_url(text)
            count += refused or (whole is not None and not self._allowed.allows(whole))
        if not count:
            return NOTHING_FOUND
        return Inspection(count, f"name {count:,} host{plural(count)} outside of what is allowed")


def _urls_in(text: str) -> Iterator[str]:
    """The URLs in a text that name a host, each as far as it goes where it stands in other words, or in code."""
    for url in _URL.texts_in(text):
        authority = _AUTHORITY.match(url, url.index(":") + 1)
        assert authority is not None
        closed = _CLOSES.search(authority[1]) if authority[1][:1] != "[" else None
        # What comes before an @ may hold anything, and the host comes after it.
        if closed is not None and "@" not in authority[1]:
            url = url[: authority.start(1) + closed.start()]
        if _names_host(url):
            yield url


def _whole_url(text: NamedText) -> str | None:
    """All of a text, where a parser of URLs would take it for one; None where it would not, or no host is in it."""
    whole = text.text.strip(_AROUND)
    for left_out in _LEFT_OUT:
        whole = whole.replace(left_out, "")
    whole = whole[:_MAX_URL]
    is_address = text.is_named or bool(_NAMES_HOST.search(text.name[-64:]))
    if _BEGINS_URL.match(whole):
        return whole if _names_host(whole) and (is_address or _is_one(text.text, whole)) else None
    if not is_address or not whole or (whole[0] == "/" and whole[1:2] not in ("/", "\\")):
        # A path is one at whatever host is asked.
        return None
    return whole if _BEGINS_HOST.match(whole) or not _URL.find(whole) else None


def _names_host(url: str) -> bool:
    """Whether it is more than a file of this machine."""
    if url[:5].lower() != "file:":
        return True
    slashes = len(url) - 5 - len(url[5:].lstrip("/\\"))
    authority = _AUTHORITY.match(url, 5)
    return slashes not in (0, 1, 3) and authority is not None and authority[1].lower() not in ("", "localhost")


def _is_one(text: str, whole: str) -> bool:
    """Whether a text that begins as a URL is nothing else: neither words after it nor a list of several."""
    begins = _AUTHORITY.match(whole, whole.index(":") + 1)
    assert begins is not None
    authority = begins[1]
    if " " in authority or not (whole[begins.start() :][:1] in ("/", "\\") or "." in authority or "[" in authority):
        return False
    return sum(bool(_BEGINS_URL.match(line.strip(_AROUND))) for line in text[: 2 * _MAX_URL].splitlines()) <= 1
