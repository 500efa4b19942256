"""A tool as an upstream server describes it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.catalog.definition_hash import hash_definition
from gateway.catalog.tool_mending import mend_tool
from gateway.database.connection import Row
from gateway.errors import InvalidInputError
from gateway.json_codec import check_depth
from gateway.upstream.message_decoder import UnreadableItem
from gateway.upstream.unusable_tool import UNUSABLE_META_KEY

_MAXIMUM_NAME_LENGTH = 256
_MAXIMUM_REASON_LENGTH = 1_000
# What it is listed in has levels of its own, and clients read 200 at most.
_MAXIMUM_DEPTH = 128
_MAXIMUM_DEFINITION_BYTES = 256 * 1024


@dataclass(frozen=True)
class ToolDefinition:
    """What an upstream says of one tool: its JSON, as every client takes it, and the hash of what that means, computed
    once when it was read.
    """

    name: str
    json: str
    content_hash: bytes

    @functools.cached_property
    def raw(self) -> dict[str, Any]:
        """The definition as a value, for reading alone."""
        parsed: dict[str, Any] = json.loads(self.json)
        return parsed

    @property
    def description(self) -> str:
        return self.raw.get("description") or ""

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """Name and description of each parameter, in declared order."""
        properties = self.raw["inputSchema"].get("properties")
        if not isinstance(properties, dict):
            return []
        described = []
        for name, schema in properties.items():
            text = schema.get("description") if isinstance(schema, dict) else None
            described.append((name, text if isinstance(text, str) else ""))
        return described


def stored_definition(row: Row) -> ToolDefinition:
    """The definition that a row of the catalogue holds, by its columns name, definition and content_hash."""
    return ToolDefinition(row["name"], row["definition"], row["content_hash"])


@dataclass(frozen=True, slots=True)
class SkippedTool:
    """A listed tool that cannot be used, and why."""

    name: str
    reason: str


def parse_listing(entries: Sequence[object]) -> tuple[list[ToolDefinition], list[SkippedTool]]:
    """Judge each entry of a listing by itself: the tools that can be used, and those that cannot."""
    tools: dict[str, ToolDefinition] = {}
    skipped = []
    for position, entry in enumerate(entries, 1):
        try:
            tool = parse_tool(entry)
            if tool.name in tools:
                raise InvalidInputError("another tool of the same listing has this name")
            tools[tool.name] = tool
        except InvalidInputError as error:
            name = entry.get("name") if isinstance(entry, dict) else None
            name = entry.name if isinstance(entry, UnreadableItem) else name
            shown = name[:_MAXIMUM_NAME_LENGTH] if isinstance(name, str) and name else f"(number {position})"
            skipped.append(SkippedTool(make_storable(shown), make_storable(error.message)))
    return list(tools.values()), skipped


def parse_tool(entry: object) -> ToolDefinition:
    """One entry of tools/list. Raises InvalidInputError with the reason why it cannot be used."""
    # Whoever only reads the catalogue starts in half of the time without the protocol's types.
    import mcp_types
    from pydantic import ValidationError

    if isinstance(entry, UnreadableItem):
        raise InvalidInputError(entry.reason)
    if not isinstance(entry, dict):
        raise InvalidInputError("it is not a JSON object")
    try:
        check_depth(entry, _MAXIMUM_DEPTH)
    except ValueError:
        raise InvalidInputError("its definition is nested too deeply") from None
    meta = entry.get("_meta")
    if isinstance(meta, dict) and isinstance(meta.get(UNUSABLE_META_KEY), str):
        raise InvalidInputError(meta[UNUSABLE_META_KEY][:_MAXIMUM_REASON_LENGTH])
    try:
        text = json.dumps(entry, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except ValueError:
        raise InvalidInputError("it holds characters or numbers that JSON does not have") from None
    if size > _MAXIMUM_DEFINITION_BYTES:
        raise InvalidInputError(f"its definition has {size} bytes, more than {_MAXIMUM_DEFINITION_BYTES}")
    # An escaped backslash before u0000 is text about it.
    if re.search(r"(?<!\\)(?:\\\\)*\\u0000", text):
        raise InvalidInputError("it holds a null character")
    # Its nesting is known to be one that can be followed.
    entry = mend_tool(entry)
    text = json.dumps(entry, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        tool = mcp_types.Tool.model_validate(entry, by_name=False)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInputError(f"{field or 'its definition'}: {first['msg']}") from None
    if not tool.name or len(tool.name) > _MAXIMUM_NAME_LENGTH:
        raise InvalidInputError(f"its name has {len(tool.name)} characters, not 1 to {_MAXIMUM_NAME_LENGTH}")
    if entry["inputSchema"].get("type") != "object":
        raise InvalidInputError('inputSchema: its type is not "object"')
    return ToolDefinition(tool.name, text, hash_definition(entry))


def make_storable(value: Any) -> Any:
    """`value` (text, or JSON of any depth) without the null characters and lone surrogates that PostgreSQL refuses."""
    if isinstance(value, str):
        return value.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    if isinstance(value, dict):
        return {make_storable(key): make_storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [make_storable(item) for item in value]
    return value
