"""Tokens that can be had again at any time, in the memory of this process while they are used."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, TypeAlias

from cachetools import TLRUCache

from gateway.upstream.oauth.token_response import IssuedToken

_MAX_BYTES = 64 * 1024 * 1024
# What an entry takes beside its token.
_ENTRY_BYTES = 1_024
# A token that is about to end would end on its way.
_MARGIN_SECONDS = 15.0
# Whose end is not known may have been withdrawn at any time.
_UNKNOWN_END_SECONDS = 300.0

_Key: TypeAlias = "tuple[int, int, int, Hashable]"


@dataclass(frozen=True, slots=True)
class _Entry:
    token: IssuedToken
    asked_as: Any


class IssuedTokens:
    """Tokens by tenant, person, server, and what they were given for. Those used longest ago go first."""

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._entries: TLRUCache[_Key, _Entry] = TLRUCache(
            max_bytes, lambda _key, entry, now: now + _seconds_left(entry.token), time.monotonic, _size
        )

    def get(self, key: _Key, asked_as: Any) -> IssuedToken | None:
        """The token, where there is one that was asked for as `asked_as` says and does not end just now."""
        entry = self._entries.get(key)
        return entry.token if entry is not None and entry.asked_as == asked_as else None

    def store(self, key: _Key, asked_as: Any, token: IssuedToken) -> None:
        """Keep a token until it ends, or five minutes where that is not known."""
        entry = _Entry(token, asked_as)
        if _seconds_left(token) > 0 and _size(entry) <= self._entries.maxsize:
            self._entries[key] = entry

    def remove(self, key: _Key) -> None:
        """Forget a token that is no longer taken."""
        self._entries.pop(key, None)

    def pop_all(self, tenant_id: int, person_id: int, server_id: int) -> list[IssuedToken]:
        """All that are kept of a person at a server, which are forgotten with that."""
        keys = [key for key in self._entries if key[:3] == (tenant_id, person_id, server_id)]
        found = [entry for entry in (self._entries.pop(key, None) for key in keys) if entry is not None]
        return [entry.token for entry in found]


def _seconds_left(token: IssuedToken) -> float:
    return _UNKNOWN_END_SECONDS if token.expires_at is None else token.expires_at - _MARGIN_SECONDS - time.time()


def _size(entry: _Entry) -> int:
    return _ENTRY_BYTES + len(entry.token.token)
