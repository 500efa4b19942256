"""Names that clients see: slugs of servers and exposed names of tools."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection

TOOL_SEARCH = "tool_search"
TOOL_CALL = "tool_call"
READ_RESULT = "read_result"
GATEWAY_TOOLS = (TOOL_SEARCH, TOOL_CALL, READ_RESULT)
"""The gateway's own tools, whose names no other tool may have."""

EXPOSED_NAME_LENGTH = 64
_SLUG_LENGTH = 32
_HASH_LENGTH = 6


def slugify(name: str) -> str:
    """A server's name as lower-case letters, digits and single `_`: `Local MCP` gives `local_mcp`."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", letters).strip("_")[:_SLUG_LENGTH].strip("_")
    return slug or f"server_{_digest(name)}"


def make_exposed_name(slug: str, tool: str, taken: Collection[str], prefix: str | None = None) -> str:
    """The name under which a tool is offered to clients: `{slug}__{tool}`, unlike any in `taken`.

    A server's own `prefix` stands in place of the slug; with an empty one the tool goes by its own name.

    At most 64 of the characters that language models' APIs take; what does not fit, or collides, is cut and ends in
    `_` and six hex digits of a hash of the whole name.
    """
    qualifier = slug if prefix is None else prefix
    full = f"{qualifier}__{tool}" if qualifier else tool
    allowed = re.sub(r"[^A-Za-z0-9_-]", "_", full)
    if len(allowed) <= EXPOSED_NAME_LENGTH and allowed not in taken:
        return allowed
    salt = 0
    while True:
        # The salt only ever counts when two hashes of six digits collide.
        ending = f"_{_digest(full + chr(0) * salt)}"
        name = allowed[: EXPOSED_NAME_LENGTH - len(ending)] + ending
        if name not in taken:
            return name
        salt += 1


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]
