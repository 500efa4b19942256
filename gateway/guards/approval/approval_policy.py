"""Which calls wait for a person: what the rules by which a caller sees a tool say of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.access.roles import RoleApproval
from gateway.access.tool_names import NamedTool
from gateway.catalog.definition_hash import hash_definition
from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.guards.approval.call_approval import ApprovalRequirement


class ApprovalPolicy:
    """A call waits where one of the caller's roles, or the profile, has it wait; no other lifts that."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def requirement(self, tenant_id: int, role_ids: Sequence[int], tool: NamedTool) -> ApprovalRequirement | None:
        """What calls of the tool wait for; None where they wait for nobody. Raises DatabaseError."""
        rows = await self._database.fetch("approval_rules", tenant_id, list(role_ids), tool.id)
        if all(row["role_approve"] == "none" and row["rule_approve"] in (None, "inherit", "waive") for row in rows):
            return None
        definition = json.loads(tool.definition)
        requiring = [row for row in rows if _requires(row, definition)]
        if not requiring:
            return None
        version = " ".join(
            f"{row['role_id']}.{row['role_version']}:{row['rule_id'] or 0}.{row['rule_version'] or 0}"
            for row in requiring
        )
        return ApprovalRequirement(version, hash_definition(definition), tool.definition, tool.exposed_name)


def _requires(row: Row, definition: Mapping[str, Any]) -> bool:
    if row["rule_approve"] in ("require", "waive"):
        return bool(row["rule_approve"] == "require")
    return requires_approval(row["role_approve"], definition.get("annotations"))


def requires_approval(approve: RoleApproval, annotations: object) -> bool:
    """Whether tools with these annotations are among those whose calls wait.

    What a tool does not say counts as MCP says it: it is not read-only, and may destroy. The hint that it destroys is
    about tools that are not read-only; one that says both is taken at its worse word.
    """
    if approve in ("none", "all"):
        return approve == "all"
    hints = annotations if isinstance(annotations, Mapping) else {}
    read_only, destructive = hints.get("readOnlyHint") is True, hints.get("destructiveHint")
    if approve == "not_read_only":
        return not read_only or destructive is True
    return destructive is True or (not read_only and destructive is not False)
