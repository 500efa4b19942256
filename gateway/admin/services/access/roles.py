"""Roles and their rules, as people look at them and change them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from gateway.access.explanation import explain
from gateway.access.roles import (
    Role,
    RoleApproval,
    RoleRecord,
    Visibility,
    create_role,
    delete_role,
    list_roles,
    update_role,
)
from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.services.access.rules import RuleCard, RuleChange, RuleInput, RuleService, RulesInput
from gateway.database.pool import Database
from gateway.errors import NotFoundError

__all__ = [
    "Decision",
    "MatrixRow",
    "RoleCard",
    "RoleChange",
    "RoleInput",
    "RoleService",
    "RuleCard",
    "RuleChange",
    "RuleInput",
    "RulesInput",
]

_Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


@dataclass(frozen=True, slots=True)
class RoleCard:
    """A role as a list shows it; `version` counts changes of the role itself and is sent back with the next.

    `rules` counts its rules, `keys` the keys in force that carry it. `approve`: calls of which tools wait for a person.
    """

    id: int
    name: str
    description: str
    default_visibility: Visibility
    version: int
    rules: int
    keys: int
    approve: RoleApproval


@dataclass(frozen=True, slots=True)
class RoleInput:
    """A role to be made; `default_visibility` is for what no rule names, and so is `approve`, which says of which tools
    calls wait for a person: none, those that may destroy something, those that may change something, all.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    description: Annotated[str, Field(max_length=2_000)] = ""
    default_visibility: Visibility = "DENY"
    approve: RoleApproval = "none"

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class RoleChange:
    """What of a role is to be changed; null stays. `version` is that of the role when it was looked at."""

    version: _Version
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    description: Annotated[str, Field(max_length=2_000)] | None = None
    default_visibility: Visibility | None = None
    approve: RoleApproval | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """What a role sees of a server: how many of its tools at each visibility, and the rule about the server."""

    server_id: int
    server: str
    enabled: bool
    tools: int
    allowed: int
    searchable: int
    denied: int
    rule_id: int | None
    rule: Visibility | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a role makes of a tool, and why. `rule_id` is the rule that decided, None where the default did."""

    tool: str
    visibility: Visibility
    rule_id: int | None
    denied_explicitly: bool
    reason: str


class RoleService:
    """Roles of a tenant. What is changed holds for the next request of every client."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rules = RuleService(database)

    async def list(self, tenant_id: int) -> list[RoleCard]:
        """Every role, by name."""
        return [_card(role) for role in await list_roles(self._database, tenant_id)]

    async def get(self, tenant_id: int, role_id: int) -> RoleCard:
        """One role. Raises NotFoundError."""
        for role in await list_roles(self._database, tenant_id):
            if role.id == role_id:
                return _card(role)
        raise NotFoundError(f"There is no role {role_id} in this tenant.")

    async def create(self, tenant_id: int, new: RoleInput) -> RoleCard:
        """Make a role without rules. Raises InvalidInputError, and ConflictError where the name is taken."""
        role = await create_role(
            self._database, tenant_id, new.name, new.default_visibility, new.description, new.approve
        )
        return await self.get(tenant_id, role.id)

    async def change(self, tenant_id: int, role_id: int, change: RoleChange) -> RoleCard:
        """Change a role. Raises NotFoundError, InvalidInputError, and ConflictError where another has changed it."""
        await self.get(tenant_id, role_id)
        await update_role(
            self._database,
            tenant_id,
            role_id,
            change.version,
            name=change.name,
            default=change.default_visibility,
            description=change.description,
            approve=change.approve,
        )
        return await self.get(tenant_id, role_id)

    async def remove(self, tenant_id: int, role_id: int) -> None:
        """Remove a role with its rules; keys that carry it lose it. Raises NotFoundError."""
        await self.get(tenant_id, role_id)
        await delete_role(self._database, tenant_id, role_id)

    async def rules(self, tenant_id: int, role_id: int) -> tuple[RuleCard, ...]:
        """The rules of a role, the more specific first. Raises NotFoundError."""
        await self.get(tenant_id, role_id)
        return await self._rules.list(tenant_id, role_id)

    async def set_rules(self, tenant_id: int, role_id: int, rules: RulesInput) -> tuple[RuleCard, ...]:
        """Set or take away several rules at once; raises as `RuleService.set`."""
        await self.get(tenant_id, role_id)
        return await self._rules.set(tenant_id, role_id, rules)

    async def change_rule(self, tenant_id: int, role_id: int, rule_id: int, change: RuleChange) -> RuleCard:
        """Change what a rule says; raises as `RuleService.change`."""
        await self.get(tenant_id, role_id)
        return await self._rules.change(tenant_id, role_id, rule_id, change)

    async def remove_rule(self, tenant_id: int, role_id: int, rule_id: int) -> None:
        """Remove a rule. Raises NotFoundError."""
        await self.get(tenant_id, role_id)
        await self._rules.remove(tenant_id, role_id, rule_id)

    async def matrix(self, tenant_id: int, role_id: int) -> tuple[MatrixRow, ...]:
        """What the role sees, server by server. Raises NotFoundError."""
        await self.get(tenant_id, role_id)
        return tuple(MatrixRow(**row) for row in await self._database.fetch("role_matrix", tenant_id, role_id))

    async def explain(self, tenant_id: int, role_id: int, tool_id: int) -> Decision:
        """Which rule of a role decided about a tool, and why. Raises NotFoundError."""
        card = await self.get(tenant_id, role_id)
        role = Role(card.id, card.name, card.description, card.default_visibility, card.version, card.approve)
        decision = await explain(self._database, tenant_id, role, tool_id)
        return Decision(
            decision.tool, decision.visibility, decision.rule_id, decision.denied_explicitly, decision.reason
        )


def _card(role: RoleRecord) -> RoleCard:
    return RoleCard(
        role.id,
        role.name,
        role.description,
        role.default_visibility,
        role.version,
        role.rule_count,
        role.key_count,
        role.approve,
    )
