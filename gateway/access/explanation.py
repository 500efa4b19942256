"""Why a role sees a tool, or does not."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.access.roles import Role, Visibility
from gateway.access.rules import describe_target
from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a role makes of a tool; `rule_id` is the rule that decided, None where the default did or none was asked."""

    tool: str
    visibility: Visibility
    rule_id: int | None
    denied_explicitly: bool
    reason: str


async def explain(database: Database, tenant_id: int, role: Role, tool_id: int) -> Explanation:
    """Which rule of a role decided about a tool, and why, in words. Raises NotFoundError."""
    row = await database.fetchrow("role_decision", tenant_id, role.id, tool_id)
    if row is None:
        raise NotFoundError(f"There is no tool {tool_id} in this tenant.")
    tool: str = row["exposed_name"]
    if row["visibility"] is None or row["disabled"]:
        return Explanation(tool, "DENY", None, False, _hidden(row))
    if row["rule_id"] is None:
        reason = f"no rule of {role.name} is about it, so the role's default {role.default_visibility} decides"
    else:
        target = describe_target(
            tool if row["tool_id"] is not None else None, row["pattern"], row["server_name"], row["category"]
        )
        reason = f"rule {row['rule_id']} of {role.name} about the {target} decides, the most specific of its rules"
    if row["denied_explicitly"]:
        reason += "; it denies a tool or pattern explicitly, which no other role of a key lifts"
    return Explanation(tool, row["visibility"], row["rule_id"], row["denied_explicitly"], reason)


def _hidden(row: Row) -> str:
    """Why a tool is hidden from everybody."""
    if row["removed"]:
        cause = "its server does not list it any more"
    elif row["disabled"]:
        cause = "an admin has switched it off"
    elif not row["enabled"]:
        cause = "its server is disabled"
    else:
        cause = "it is held back until it is approved"
    return f"{cause}; no role sees it, and rules about it wait for its return"
