"""The gateway's own tools: tool_search and tool_call, and how they describe what is behind them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.access.caller import Caller
from gateway.audit.call_log import CallLog
from gateway.catalog.category import CATEGORIES
from gateway.catalog.naming import TOOL_CALL, TOOL_SEARCH
from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.downstream.methods.arguments import MAXIMUM_QUERIES, MAXIMUM_RESULTS, QUERY_CHARACTERS, read_search
from gateway.downstream.methods.search_answer import search_answer
from gateway.errors import InvalidInputError
from gateway.search.finder import Finder
from gateway.settings import Settings

_DESCRIPTION_CHARACTERS = 1_000
_FEW_WORDS = 60
_PROFILE_CHARACTERS = 300


class GatewayTools:
    """Describes the two tools to a caller and runs the search."""

    def __init__(self, database: Database, finder: Finder, settings: Settings, call_log: CallLog) -> None:
        self._database = database
        self._finder = finder
        self._call_log = call_log
        self._default_results = settings.search.max_results
        self._path_names = settings.mcp.names == "path"

    async def definitions(self, tenant_id: int, role_ids: tuple[int, ...]) -> list[dict[str, Any]]:
        """Both tools as tools/list gives them, with what is behind them for these roles, and their profile's words."""
        servers = await self._database.fetch("visible_servers", tenant_id, list(role_ids))
        profile = await self._database.fetchval("profile_description", tenant_id, list(role_ids))
        return [self._tool_search(_search_description(servers, profile or "")), _TOOL_CALL_DEFINITION]

    async def search(self, caller: Caller, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The result of calling tool_search; bad arguments are a result too, with `isError`."""
        with self._call_log.search(caller) as logged:
            try:
                request, detail = read_search(arguments, self._default_results)
                logged.set_queries(request.queries)
                outcome = await self._finder.find(caller, request)
            except InvalidInputError as error:
                logged.set_outcome("invalid", error.message)
                return error_result(error.message)
            logged.set_results(outcome.total_found, [tool.match.tool_id for tool in outcome.tools])
        return text_result(search_answer(request, outcome, detail, path_names=self._path_names))

    def _tool_search(self, description: str) -> dict[str, Any]:
        query = {"type": "string", "minLength": 1, "maxLength": QUERY_CHARACTERS}
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
                        "enum": ["full", "brief"],
                        "default": "full",
                        "description": "brief leaves out the input schemas.",
                    },
                },
            },
            "annotations": {"readOnlyHint": True, "openWorldHint": False},
        }


INSTRUCTIONS = (
    "Many tools stand behind this server and only a few are listed. Call tool_search with what you want to do; it "
    "returns the tools that fit, with their input schemas. Then call a found tool by its name, or through tool_call "
    "with its name and arguments where your client only lets you call listed tools."
)

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
}


def text_result(text: str) -> dict[str, Any]:
    """A result of one text block."""
    return {"content": [{"type": "text", "text": text}], "isError": False}


def error_result(text: str) -> dict[str, Any]:
    """A tool error: something for the model to read and mend."""
    return {"content": [{"type": "text", "text": text}], "isError": True}


def _search_description(servers: Sequence[Row], profile: str) -> str:
    """What can be found, within 1,000 characters. What upstreams say of themselves is quoted, cut and on one line."""
    count = sum(server["tool_count"] for server in servers)
    text = (
        f"Find the tools for a task by meaning. {count} tools of {len(servers)} servers are behind this gateway; say "
        "what you want to do and get the tools that fit, with their input schemas, ready to be called by name or "
        "through tool_call."
    )
    if profile:
        text = f"{_one_line(profile)[:_PROFILE_CHARACTERS]} {text}"
    if not servers:
        return text
    text += " Servers:"
    for position, server in enumerate(servers):
        words = _few_words(server)
        entry = f" {_one_line(server['name'])} ({server['tool_count']}){words and f': {words}'};"
        left = len(servers) - position
        closing = f" and {left} more."
        if len(text) + len(entry) + len(closing) > _DESCRIPTION_CHARACTERS:
            return text + closing
        text += entry
    return text[:-1] + "."


def _few_words(server: Row) -> str:
    info = server["server_info"] or {}
    said = server["description"] or info.get("description") or server["instructions"] or info.get("title") or ""
    if not isinstance(said, str):
        return ""
    words = re.split(r"(?<=[.!?])\s|\n", said.strip(), maxsplit=1)[0]
    words = _one_line(words).replace('"', "'").rstrip(".;")
    if len(words) > _FEW_WORDS:
        words = words[:_FEW_WORDS].rsplit(" ", 1)[0] + "…"
    # In quotation marks: it is what a server says of itself, and no word of the gateway's.
    return f'"{words}"' if words else ""


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text).strip()
