"""Why a role sees a tool, or does not."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.access.roles import Role, Visibility
from gateway.access.rules import describe_target
from gateway.database.pool import Database
from gateway.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class ToolTarget:
    """A tool as rules are made about it, be it there just now or not."""

    id: int
    exposed_name: str
    removed: bool
    enabled: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a role makes of a tool; `rule_id` is the rule that decided, None where the default did or none was asked."""

    tool: str
    visibility: Visibility
    rule_id: int | None
    denied_explicitly: bool
    reason: str


async def tool_named(database: Database, tenant_id: int, name: str) -> ToolTarget:
    """The tool by exposed name, "server name/tool" or "slug/tool". Raises NotFoundError."""
    server, _, tool = name.partition("/")
    row = None
    if "\x00" not in name:
        row = await database.fetchrow("rule_target_tool", tenant_id, name, server, tool)
    if row is None:
        raise NotFoundError(f"There is no tool {name[:200]!r}; modelgate search shows the names of tools.")
    return ToolTarget(**row)


async def explain(database: Database, tenant_id: int, role: Role, tool: ToolTarget) -> Explanation:
    """Which rule of a role decided about a tool, and why, in words."""
    row = await database.fetchrow("decision", tenant_id, role.id, tool.id)
    if tool.removed or not tool.enabled or row is None:
        cause = (
            "its server does not list it any more"
            if tool.removed
            else "its server is disabled"
            if not tool.enabled
            else "it is held back until it is approved"
        )
        return Explanation(
            tool.exposed_name, "DENY", None, False, f"{cause}; no role sees it, and rules about it wait for its return"
        )
    if row["rule_id"] is None:
        reason = f"no rule of {role.name} is about it, so the role's default {row['default_visibility']} decides"
    else:
        target = describe_target(
            tool.exposed_name if row["tool_id"] is not None else None,
            row["pattern"],
            row["server_name"],
            row["category"],
        )
        reason = f"rule {row['rule_id']} of {role.name} about the {target} decides, the most specific of its rules"
    if row["denied_explicitly"]:
        reason += "; it denies a tool or pattern explicitly, which no other role of a key lifts"
    return Explanation(tool.exposed_name, row["visibility"], row["rule_id"], row["denied_explicitly"], reason)
