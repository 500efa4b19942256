"""What the modern era says of every result, and clients of the handshake era and plain POSTs do not know."""

from __future__ import annotations

from typing import Any, Literal

from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
)

from gateway.json_codec import encode

_HOP_KEYS = {
    SERVER_INFO_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    CLIENT_INFO_META_KEY,
    CLIENT_CAPABILITIES_META_KEY,
    LOG_LEVEL_META_KEY,
    "io.modelcontextprotocol/subscriptionId",
}
_CACHE_HINTS = ("ttlMs", "cacheScope")


def without_modern_parts(result: dict[str, Any], era: Literal["oneshot", "handshake"]) -> dict[str, Any]:
    """A result as clients of `era` know results; nothing in `result` itself is changed."""
    older = dict(result)
    if "resultType" in older:
        for key in ("resultType", *_CACHE_HINTS):
            older.pop(key, None)
    meta = older.get("_meta")
    if isinstance(meta, dict) and not _HOP_KEYS.isdisjoint(meta):
        older["_meta"] = {key: value for key, value in meta.items() if key not in _HOP_KEYS}
        if not older["_meta"]:
            del older["_meta"]
    structured = older.get("structuredContent")
    if era == "handshake" and structured is not None and not isinstance(structured, dict):
        # There it is an object or nothing; the value stays readable as text.
        del older["structuredContent"]
        older["content"] = older.get("content") or [{"type": "text", "text": encode(structured).decode()}]
    return older
