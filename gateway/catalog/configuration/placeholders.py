"""`${NAME}` in place of the secrets of a document, and the secrets back in its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gateway.catalog.naming import slugify

_PLACEHOLDER = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")


@dataclass(slots=True)
class PlaceholderNames:
    """Names for the secrets of one server or guard, each another than those that are `taken` by any of a document:
    what is given under a name is given to whatever has it.
    """

    owner: str
    taken: set[str] = field(default_factory=set)

    def of(self, name: str) -> str:
        """`${OWNER_NAME}` for the secret called `name`."""
        whole = re.sub(r"[^A-Z0-9]+", "_", f"{slugify(self.owner)}_{name}".upper()).strip("_")
        return self.free(whole if whole[:1].isalpha() else f"S_{whole}")

    def free(self, whole: str) -> str:
        """`${WHOLE}`, with a number where there is one of that name."""
        numbered, number = whole, 2
        while numbered in self.taken:
            numbered, number = f"{whole}_{number}", number + 1
        self.taken.add(numbered)
        return f"${{{numbered}}}"

    def in_url(self, url: str | None, name: str) -> str | None:
        """A URL with placeholders for its user and its query, which may be secrets."""
        if url is None:
            return None
        parts = urlsplit(_without_fragment(url))
        user, found, host = parts.netloc.rpartition("@")
        netloc = f"{self.of(f'{name}_user')}@{host}" if found and user else parts.netloc
        query = self.of(f"{name}_query") if parts.query else ""
        return parts._replace(netloc=netloc, query=query).geturl()


@dataclass(frozen=True, slots=True)
class FilledText:
    """A text with its secrets; `missing` are the names of those that nobody gave and none has stored."""

    text: str | None
    missing: tuple[str, ...] = ()


def fill(text: str | None, stored: str | None, values: Mapping[str, str]) -> FilledText:
    """`text` with the values of its placeholders; what is stored in its place where one of them has none, unless the
    text around them is another: then what is stored was given for something else.
    """
    names = [] if text is None else _PLACEHOLDER.findall(text)
    lacking = tuple(name for name in names if name not in values)
    if text is None or not names:
        return FilledText(text)
    filled = _PLACEHOLDER.sub(lambda match: values.get(match[1], ""), text)
    # What is stored may be what an earlier document left without its secrets.
    if lacking and stored is not None and stored != _PLACEHOLDER.sub("", text) and _is_of(text, stored):
        return FilledText(stored)
    return FilledText(filled, lacking)


def _is_of(text: str, stored: str) -> bool:
    """Whether `stored` is `text` with something for its placeholders."""
    first, *others = _PLACEHOLDER.split(text)[::2]
    for known in dict.fromkeys((stored, _without_fragment(stored))):
        end = len(first) if known.startswith(first) else -1
        for part in others[:-1]:
            end = known.find(part, end) + len(part) if end >= 0 and part in known[end:] else -1
        if end >= 0 and len(known) - end >= len(others[-1]) and known.endswith(others[-1]):
            return True
    return False


def _without_fragment(url: str) -> str:
    """A URL as it is given out; what is none stays as it is."""
    try:
        return urlsplit(url)._replace(fragment="").geturl()
    except ValueError:
        return url
