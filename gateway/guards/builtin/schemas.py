"""Schemas of tools, compiled, and what is wrong with a value by them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.errors import GuardError

_MAX_TOOLS = 500
_SHOWN_CHARACTERS = 200
# A hostile schema is compiled to no more than this: 10 MiB of states, as the library has it.
_PATTERNS = jsonschema_rs.RegexOptions()


@dataclass(frozen=True, slots=True)
class ToolSchemas:
    """What a tool says of its arguments and of its structured results; None where it says nothing."""

    arguments: ToolSchema | None
    result: ToolSchema | None


class ToolSchema:
    """A JSON Schema (draft 2020-12 unless it says another) that refers to nothing outside of itself."""

    def __init__(self, schema_json: str) -> None:
        """A schema that cannot be used is kept as that, and told of when it is asked."""
        self._unusable: str | None = None
        try:
            schema = json.loads(schema_json)
            self._validator = jsonschema_rs.validator_for(schema, retriever=_refuse, pattern_options=_PATTERNS)
        except (ValueError, RecursionError, jsonschema_rs.ReferencingError) as error:
            self._unusable = str(getattr(error, "message", error))[:_SHOWN_CHARACTERS]

    def problem(self, value: Any) -> str | None:
        """Where `value` does not fit, as a JSON pointer, and by which keyword; None where it fits.

        What the value is is not said. Raises GuardError for a schema that cannot be used.
        """
        if self._unusable is not None:
            raise GuardError(f"the tool's schema cannot be used ({self._unusable})")
        if self._validator.is_valid(value):
            return None
        error = next(iter(self._validator.iter_errors(value)))
        place = "".join(f"/{step}" for step in error.instance_path)[:_SHOWN_CHARACTERS]
        keyword = str(error.schema_path[-1]) if error.schema_path else "false"
        return f"{place or 'the whole'} does not fit its {keyword}"


class SchemaStore:
    """The schemas of tools, read when they are first asked for and kept until the catalogue changes."""

    def __init__(self, database: Database, notices: Notices | None) -> None:
        self._database = database
        self._kept: NotifiedCache[int, ToolSchemas] = NotifiedCache(notices, _MAX_TOOLS)

    async def get(self, tenant_id: int, tool_id: int) -> ToolSchemas:
        """The schemas of a tool; none where it is gone. Raises DatabaseError."""

        async def read() -> ToolSchemas:
            row = await self._database.fetchrow("tool_schemas", tenant_id, tool_id)
            if row is None:
                return ToolSchemas(None, None)
            return ToolSchemas(*(_compiled(row[name]) for name in ("input_schema", "output_schema")))

        return await self._kept.get(tenant_id, tool_id, read)


ReadSchemas = Callable[[int, int], Awaitable[ToolSchemas]]
"""Gets the schemas of a tool by its tenant and id."""


def _compiled(schema_json: str | None) -> ToolSchema | None:
    return None if schema_json is None else ToolSchema(schema_json)


def _refuse(uri: str) -> Any:
    raise ValueError(f"it refers to {uri[:_SHOWN_CHARACTERS]}, and nothing outside of it is read")
