"""A list in pages, written once."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.downstream.serialized import Serialized

PAGE_ITEMS = 1_000


class PagedList:
    """The pages of a list method, each under the name of the item before it.

    A cursor names an item, so that one from before a change of the list leads on as long as that item is there.
    """

    def __init__(self, key: str, field: str, items: Sequence[Mapping[str, Any]], size: int = PAGE_ITEMS) -> None:
        """`items` stand under `key` in a page; `field` of an item is its name, which no other has."""
        self._key = key
        self._field = field
        self._size = size
        self._names = frozenset(item[field] for item in items)
        self._pages: dict[str | None, Serialized] = {}
        for start in range(0, max(len(items), 1), size):
            self._pages[items[start - 1][field] if start else None] = self._write(items, start)

    @cached_property
    def digest(self) -> bytes:
        """The same for lists that read the same."""
        digest = hashlib.sha256()
        for page in self._pages.values():
            digest.update(page.text)
        return digest.digest()

    def page(self, cursor: object) -> Serialized:
        """The page that `cursor` leads to, the first for None. Raises MCPError for one that is none of this list."""
        if cursor is None:
            return self._pages[None]
        name = _read(cursor)
        if name not in self._names:
            raise MCPError(code=INVALID_PARAMS, message="The cursor is not one of this list; list anew without it.")
        return self._pages.get(name) or self._after(name)

    def _after(self, name: str) -> Serialized:
        """The page after an item that no longer ends one."""
        items = [item for page in self._pages.values() for item in json.loads(page.text)[self._key]]
        start = next(place for place, item in enumerate(items, 1) if item[self._field] == name)
        return self._write(items, start)

    def _write(self, items: Sequence[Mapping[str, Any]], start: int) -> Serialized:
        end = start + self._size
        page: dict[str, Any] = {self._key: items[start:end]}
        if end < len(items):
            page["nextCursor"] = _cursor(items[end - 1][self._field])
        return Serialized(json.dumps(page, separators=(",", ":")).encode())


def _cursor(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode(errors="surrogatepass")).decode()


def _read(cursor: object) -> str:
    try:
        return base64.b64decode(str(cursor), altchars=b"-_", validate=True).decode(errors="surrogatepass")
    except (binascii.Error, ValueError):
        return ""
