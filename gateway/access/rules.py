"""Rules: what a role lets be seen of a tool, a name pattern, a server or a category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gateway.access.roles import Visibility, refresh_visibility, validate_visibility, version_conflict
from gateway.database.pool import Database
from gateway.errors import ConflictError, InvalidInputError, NotFoundError

RuleApproval = Literal["inherit", "require", "waive"]
"""Whether calls of a rule's tools wait for a person; `inherit`: as the role says."""
RULE_APPROVALS: tuple[RuleApproval, ...] = get_args(RuleApproval)

_PATTERN_LENGTH = 200


@dataclass(frozen=True, slots=True)
class RuleTarget:
    """What a rule is about: exactly one of these. In `pattern`, `*` stands for any characters; case does not count."""

    tool_id: int | None = None
    pattern: str | None = None
    server_id: int | None = None
    category: str | None = None

    def __post_init__(self) -> None:
        given = [field for field in (self.tool_id, self.pattern, self.server_id, self.category) if field is not None]
        if len(given) != 1:
            raise InvalidInputError("A rule is about exactly one of tool, pattern, server and category.")
        for name, text in (("pattern", self.pattern), ("category", self.category)):
            if text is not None and (not text or len(text) > _PATTERN_LENGTH or not text.isprintable()):
                raise InvalidInputError(
                    f"A pattern or category has to be 1 to {_PATTERN_LENGTH} printable characters.", name
                )


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with the names of its target; `tool_removed` says that the tool is not listed by its server just now."""

    id: int
    role_id: int
    target: RuleTarget
    visibility: Visibility
    version: int
    tool_name: str | None
    tool_removed: bool
    server_name: str | None
    approve: RuleApproval = "inherit"

    @property
    def target_description(self) -> str:
        """The target in words."""
        return describe_target(self.tool_name, self.target.pattern, self.server_name, self.target.category)


async def set_rule(
    database: Database,
    tenant_id: int,
    role_id: int,
    visibility: Visibility,
    *,
    tool_id: int | None = None,
    pattern: str | None = None,
    server_id: int | None = None,
    category: str | None = None,
    approve: RuleApproval | None = None,
) -> int:
    """Say what a role sees of exactly one target; a rule about the same target is replaced. Returns the rule's id.

    What it says of approval stays where `approve` is None. Raises InvalidInputError, and NotFoundError for a role, tool
    or server that this tenant does not have.
    """
    validate_visibility(visibility)
    if approve is not None:
        validate_rule_approval(approve)
    target = RuleTarget(tool_id, pattern, server_id, category)
    try:
        async with database.tenant_transaction(tenant_id) as transaction:
            rule_id: int = await transaction.fetchval(
                "upsert_rule",
                tenant_id,
                role_id,
                target.tool_id,
                target.pattern,
                target.server_id,
                target.category,
                visibility,
            )
            if approve is not None:
                await transaction.execute("set_rule_approve", tenant_id, rule_id, approve)
            await refresh_visibility(transaction, tenant_id, role_id=role_id)
    except ConflictError:
        raise NotFoundError("There is no such role, tool or server in this tenant.") from None
    return rule_id


async def update_rule(
    database: Database,
    tenant_id: int,
    rule_id: int,
    version: int,
    visibility: Visibility,
    approve: RuleApproval | None = None,
) -> int:
    """Change what a rule that is still at `version` says, and return its new version; None stays.

    Raises NotFoundError, and ConflictError when someone else changed it meanwhile.
    """
    validate_visibility(visibility)
    if approve is not None:
        validate_rule_approval(approve)
    async with database.tenant_transaction(tenant_id) as transaction:
        row = await transaction.fetchrow("update_rule", tenant_id, rule_id, version, visibility)
        if row is None:
            raise await version_conflict(transaction, "rule", tenant_id, rule_id, version)
        new = int(row["version"])
        if approve is not None:
            new += await transaction.execute("set_rule_approve", tenant_id, rule_id, approve)
        await refresh_visibility(transaction, tenant_id, role_id=row["role_id"])
    return new


async def delete_rule(database: Database, tenant_id: int, rule_id: int, version: int | None = None) -> None:
    """Delete a rule; with a `version`, only if it is still at that. Raises as `change_rule`."""
    async with database.tenant_transaction(tenant_id) as transaction:
        role_id: int | None = await transaction.fetchval("delete_rule", tenant_id, rule_id, version)
        if role_id is None:
            raise await version_conflict(transaction, "rule", tenant_id, rule_id, version)
        await refresh_visibility(transaction, tenant_id, role_id=role_id)


async def list_rules(database: Database, tenant_id: int, role_id: int) -> list[Rule]:
    """The rules of a role or profile, the more specific first."""
    return [
        Rule(
            id=row["id"],
            role_id=row["role_id"],
            target=RuleTarget(row["tool_id"], row["pattern"], row["server_id"], row["category"]),
            visibility=row["visibility"],
            version=row["version"],
            tool_name=row["tool_name"],
            tool_removed=bool(row["tool_removed"]),
            server_name=row["server_name"],
            approve=row["approve"],
        )
        for row in await database.fetch("list_rules", tenant_id, role_id)
    ]


def validate_rule_approval(approve: str) -> None:
    """Raise InvalidInputError for what no rule can say of approval."""
    if approve not in RULE_APPROVALS:
        raise InvalidInputError(
            f"Approval has to be one of {', '.join(RULE_APPROVALS)}, not {approve[:100]!r}.", "approve"
        )


def describe_target(tool: str | None, pattern: str | None, server: str | None, category: str | None) -> str:
    """A target in words."""
    if tool is not None:
        return f"tool {tool}"
    if pattern is not None:
        return f"pattern {pattern}"
    return f"server {server}" if server is not None else f"category {category}"
