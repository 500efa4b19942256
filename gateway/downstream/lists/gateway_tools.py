"""The gateway's own tools, tool_search and tool_call, as tools/list describes them to a caller."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gateway.catalog.category import CATEGORIES
from gateway.catalog.naming import READ_RESULT, TOOL_CALL, TOOL_SEARCH
from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.embedding.local.builtin import knows_english_only
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import EmbeddingError

MAXIMUM_QUERY_CHARACTERS = 4_000
MAXIMUM_QUERIES = 8
MAXIMUM_RESULTS = 50

_DESCRIPTION_CHARACTERS = 1_000
_SERVER_SUMMARY_CHARACTERS = 60
_PROFILE_CHARACTERS = 300

INSTRUCTIONS = (
    "Many tools stand behind this server and only a few are listed. Call tool_search with what you want to do; it "
    "returns the tools that fit, with their input schemas. Then call a found tool by its name, or through tool_call "
    "with its name and arguments where your client only lets you call listed tools."
)
"""What clients are told of the gateway when they connect."""


# Clients that load tools only when they are searched for must not do so with the search itself.
_ALWAYS_LOADED = {"anthropic/alwaysLoad": True}


class GatewayTools:
    """Describes the two tools, with what stands behind them for a caller."""

    def __init__(self, database: Database, spaces: Spaces, default_results: int, default_detail: str) -> None:
        """A search returns at most `default_results` tools in `default_detail` where it does not say otherwise."""
        self._database = database
        self._spaces = spaces
        self._default_results = default_results
        self._default_detail = default_detail

    async def definitions(self, tenant_id: int, role_ids: tuple[int, ...]) -> list[dict[str, Any]]:
        """Both tools as tools/list gives them, with what is behind them for these roles, and their profile's words."""
        servers = await self._database.fetch("visible_servers", tenant_id, list(role_ids))
        profile = await self._database.fetchval("profile_description", tenant_id, list(role_ids))
        language = " in English" if await self._wants_english() else ""
        return [self._tool_search(_search_description(servers, profile or "", language)), _TOOL_CALL_DEFINITION]

    async def _wants_english(self) -> bool:
        if self._spaces.has_language_routes:
            return False
        try:
            return knows_english_only((await self._spaces.active_space()).space)
        except EmbeddingError:
            return False

    def _tool_search(self, description: str) -> dict[str, Any]:
        query = {"type": "string", "minLength": 1, "maxLength": MAXIMUM_QUERY_CHARACTERS}
        return {
            "name": TOOL_SEARCH,
            "title": "Search tools",
            "description": description,
            "inputSchema": {
                "type": "object",
                "properties": {
                    "query": {**query, "description": "What the tool should do, in a few words or a sentence."},
                    "queries": {
                        "type": "array",
                        "items": query,
                        "minItems": 1,
                        "maxItems": MAXIMUM_QUERIES,
                        "description": "Instead of query, for a task of several steps: one query for each step.",
                    },
                    "category": {"type": "string", "enum": list(CATEGORIES), "description": "Only this kind of tool."},
                    "server": {"type": "string", "description": "Only tools of this server, by its name."},
                    "max_results": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": MAXIMUM_RESULTS,
                        "default": self._default_results,
                        "description": "How many tools to return at most.",
                    },
                    "detail": {
                        "type": "string",
                        "enum": ["auto", "full", "brief"],
                        "default": self._default_detail,
                        "description": "full: input schemas of all tools; brief: of none; auto: of the best two.",
                    },
                },
            },
            "annotations": {"readOnlyHint": True, "openWorldHint": False},
            "_meta": _ALWAYS_LOADED,
        }


_TOOL_CALL_DEFINITION: dict[str, Any] = {
    "name": TOOL_CALL,
    "title": "Call a tool",
    "description": "Call a tool that tool_search found, by the name it gave, with arguments that fit its inputSchema. "
    "Returns what the tool returns.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "The name of the tool, as tool_search gave it."},
            "arguments": {"type": "object", "description": "The arguments of the tool."},
        },
        "required": ["name"],
    },
    "annotations": {"openWorldHint": True},
    "_meta": _ALWAYS_LOADED,
}


READ_RESULT_DEFINITION: dict[str, Any] = {
    "name": READ_RESULT,
    "title": "Read on in a result",
    "description": "Read the rest of a result that was too large, for an hour: its text from a character on.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "The id that the cut result gives."},
            "offset": {"type": "integer", "minimum": 0, "default": 0, "description": "From which character on."},
        },
        "required": ["id"],
    },
    "annotations": {"readOnlyHint": True, "openWorldHint": False},
    "_meta": _ALWAYS_LOADED,
}
"""For callers of whose results one was cut."""


def _search_description(servers: Sequence[Row], profile: str, language: str) -> str:
    """What can be found, within 1,000 characters. What upstreams say of themselves is quoted, cut and on one line."""
    count = sum(server["tool_count"] for server in servers)
    text = (
        f"Find the tools for a task by meaning. {count} tools of {len(servers)} servers are behind this gateway; say "
        f"what you want to do{language} and get the tools that fit, ready to be called by name or through tool_call."
    )
    if profile:
        text = f"{_one_line(profile)[:_PROFILE_CHARACTERS]} {text}"
    if not servers:
        return text
    text += " Servers:"
    for position, server in enumerate(servers):
        summary = _summarize(server)
        entry = f" {_one_line(server['name'])} ({server['tool_count']}){summary and f': {summary}'};"
        left = len(servers) - position
        closing = f" and {left} more."
        if len(text) + len(entry) + len(closing) > _DESCRIPTION_CHARACTERS:
            return text + closing
        text += entry
    return text[:-1] + "."


def _summarize(server: Row) -> str:
    """The first sentence of what a server says of itself, cut and quoted; empty where it says nothing."""
    info = server["server_info"] or {}
    described = server["description"] or info.get("description") or server["instructions"] or info.get("title") or ""
    if not isinstance(described, str):
        return ""
    words = re.split(r"(?<=[.!?])\s|\n", described.strip(), maxsplit=1)[0]
    words = _one_line(words).replace('"', "'").rstrip(".;")
    if len(words) > _SERVER_SUMMARY_CHARACTERS:
        words = words[:_SERVER_SUMMARY_CHARACTERS].rsplit(" ", 1)[0] + "…"
    # In quotation marks: it is what a server says of itself, and no word of the gateway's.
    return f'"{words}"' if words else ""


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text).strip()
