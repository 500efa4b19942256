"""Tools that a transport knows of and cannot offer, told in a listing so that they are not missed without a reason."""

from __future__ import annotations

from gateway.json_codec import Message

UNUSABLE_META_KEY = "modelgate/unusable"
"""The key of `_meta` under which a listed tool says why it cannot be used."""


def unusable_tool(name: str, reason: str) -> Message:
    """The entry of a listing that stands for it."""
    return {"name": name, "_meta": {UNUSABLE_META_KEY: reason}}
