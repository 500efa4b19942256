"""A list in pages, serialized once."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.downstream.serialized_result import SerializedResult
from gateway.json_codec import encode

PAGE_SIZE = 1_000
"""How many items a page has at most."""

PAGE_BYTES = 512 * 1024
"""How many bytes of JSON the items of a page have together at most; one item there is on each, however large it is.

The official Python client takes events up to 1 MiB, and after a larger one fails every call.
"""


class PagedList:
    """The pages of a list method, at most 512 KiB each, under the name of the item before it.

    A cursor names an item, so that one from before a change of the list leads on as long as that item is there.
    """

    def __init__(
        self, key: str, name_field: str, items: Sequence[Mapping[str, Any]], page_size: int = PAGE_SIZE
    ) -> None:
        """`items` stand under `key` in a page; `name_field` of an item is its name, which no other has."""
        self._key = key
        self._name_field = name_field
        self._page_size = page_size
        self._names = frozenset(item[name_field] for item in items)
        self._pages: dict[str | None, SerializedResult] = {}
        start = 0
        while start < len(items) or not self._pages:
            page, end = self._build_page(items, start)
            self._pages[items[start - 1][name_field] if start else None] = page
            start = end

    @cached_property
    def digest(self) -> bytes:
        """The same for lists that read the same."""
        digest = hashlib.sha256()
        for page in self._pages.values():
            digest.update(page.to_json())
        return digest.digest()

    def page(self, cursor: object) -> SerializedResult:
        """The page that `cursor` leads to, the first for None. Raises MCPError for one that is none of this list."""
        if cursor is None:
            return self._pages[None]
        name = _decode_cursor(cursor)
        if name not in self._names:
            raise MCPError(code=INVALID_PARAMS, message="The cursor is not one of this list; list anew without it.")
        return self._pages.get(name) or self._page_after(name)

    def _page_after(self, name: str) -> SerializedResult:
        """The page after an item that no longer ends one."""
        items = [item for page in self._pages.values() for item in page.value[self._key]]
        start = next(position for position, item in enumerate(items, 1) if item[self._name_field] == name)
        return self._build_page(items, start)[0]

    def _build_page(self, items: Sequence[Mapping[str, Any]], start: int) -> tuple[SerializedResult, int]:
        """The page that begins with the item `start`, and with which item the next one begins."""
        encoded: list[bytes] = []
        size = 0
        for item in items[start : start + self._page_size]:
            text = encode(item)
            size += len(text) + 1
            if encoded and size > PAGE_BYTES:
                break
            encoded.append(text)
        end = start + len(encoded)
        members = {self._key: b"[%s]" % b",".join(encoded)}
        if end < len(items):
            members["nextCursor"] = encode(_encode_cursor(items[end - 1][self._name_field]))
        return SerializedResult(members), end


def _encode_cursor(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode(errors="surrogatepass")).decode()


def _decode_cursor(cursor: object) -> str:
    try:
        return base64.b64decode(str(cursor), altchars=b"-_", validate=True).decode(errors="surrogatepass")
    except (binascii.Error, ValueError):
        return ""
