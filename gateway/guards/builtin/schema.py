"""The guard that holds arguments and results against what the tool says of them."""

from __future__ import annotations

from typing import Any

from gateway.guards.builtin.schemas import ReadSchemas, ToolSchema
from gateway.guards.content import Content
from gateway.guards.inspection import NOTHING_FOUND, Inspection


class SchemaGuard:
    """Arguments against `inputSchema`, structured results against `outputSchema`."""

    def __init__(self, read_schemas: ReadSchemas) -> None:
        self._read_schemas = read_schemas

    async def inspect(self, content: Content) -> Inspection:
        """Raises DatabaseError, and GuardError for a schema that cannot be used."""
        use = content.use
        if use.tool_id is None:
            return NOTHING_FOUND
        schemas = await self._read_schemas(use.tenant_id, use.tool_id)
        if content.stage == "arguments":
            problem = None if schemas.arguments is None else schemas.arguments.problem(content.value)
        else:
            problem = problem_of_result(content.value, schemas.result)
        return NOTHING_FOUND if problem is None else Inspection(1, f"do not fit what the tool says of them: {problem}")


def problem_of_result(result: Any, schema: ToolSchema | None) -> str | None:
    """What is wrong with a result of a tool with this output schema; None where nothing is.

    One that says that the tool failed, or that is no result yet, need not fit. Raises GuardError.
    """
    if schema is None or result.get("isError") is True or result.get("resultType", "complete") != "complete":
        return None
    if "structuredContent" not in result:
        return "there is no structured content"
    return schema.problem(result["structuredContent"])
