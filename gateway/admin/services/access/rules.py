"""Rules of roles and of profiles, which are sets of rules with an endpoint of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from gateway.access.roles import Visibility, refresh_visibility
from gateway.access.rules import Rule, RuleApproval, RuleTarget, delete_rule, list_rules, update_rule
from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.services.tools.tools import Category
from gateway.database.pool import Database
from gateway.errors import ConflictError, InvalidInputError, NotFoundError

_Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
_Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


@dataclass(frozen=True, slots=True)
class RuleCard:
    """A rule; exactly one of `tool_id`, `pattern`, `server_id` and `category` says what it is about, `about` in words.

    `tool_removed`: the tool is not listed by its server just now, and the rule waits for its return. `approve`: whether
    calls of its tools wait for a person.
    """

    id: int
    role_id: int
    visibility: Visibility
    version: int
    about: str
    tool_id: int | None
    tool_name: str | None
    tool_removed: bool
    pattern: str | None
    server_id: int | None
    server_name: str | None
    category: str | None
    approve: RuleApproval


@dataclass(frozen=True, slots=True)
class RuleInput:
    """What a role sees of exactly one target; with null for `visibility` the rule about it is taken away.

    In `pattern`, which is compared with exposed names, `*` stands for any characters and case does not count. `approve`
    says whether calls wait for a person; null: as it was, and for a new rule as the role says.
    """

    visibility: Visibility | None
    tool_id: _Id | None = None
    pattern: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    server_id: _Id | None = None
    category: Category | None = None
    approve: RuleApproval | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class RulesInput:
    """Rules to be set at once: all of them, or none where one cannot be."""

    rules: Annotated[tuple[RuleInput, ...], Field(min_length=1, max_length=1_000)]

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class RuleChange:
    """What a rule says from now on; `version` is that of the rule when it was looked at. `approve` null: as it was."""

    version: _Version
    visibility: Visibility
    approve: RuleApproval | None = None

    __pydantic_config__ = FORBID_EXTRA


class RuleService:
    """Rules of roles and profiles, both by number. The caller sees to it that the role is there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, tenant_id: int, role_id: int) -> tuple[RuleCard, ...]:
        """The rules, the more specific first."""
        return tuple(_card(rule) for rule in await list_rules(self._database, tenant_id, role_id))

    async def set(self, tenant_id: int, role_id: int, rules: RulesInput) -> tuple[RuleCard, ...]:
        """Set or take away several rules in one transaction, and return all.

        A rule about the same target is replaced. Raises NotFoundError for a tool or server that is not there, and
        InvalidInputError.
        """
        targets = [(_target(rule, position), rule) for position, rule in enumerate(rules.rules)]
        try:
            async with self._database.tenant_transaction(tenant_id) as transaction:
                for target, rule in targets:
                    about = (target.tool_id, target.pattern, target.server_id, target.category)
                    if rule.visibility is None:
                        await transaction.execute("delete_rule_by_target", tenant_id, role_id, *about)
                        continue
                    rule_id = await transaction.fetchval("upsert_rule", tenant_id, role_id, *about, rule.visibility)
                    if rule.approve is not None:
                        await transaction.execute("set_rule_approve", tenant_id, rule_id, rule.approve)
                await refresh_visibility(transaction, tenant_id, role_id=role_id)
        except ConflictError:
            raise NotFoundError("One of the rules is about a tool or server that this tenant does not have.") from None
        return await self.list(tenant_id, role_id)

    async def change(self, tenant_id: int, role_id: int, rule_id: int, change: RuleChange) -> RuleCard:
        """Change what a rule says. Raises NotFoundError, and ConflictError where another has changed it."""
        await self._get(tenant_id, role_id, rule_id)
        await update_rule(self._database, tenant_id, rule_id, change.version, change.visibility, change.approve)
        return await self._get(tenant_id, role_id, rule_id)

    async def remove(self, tenant_id: int, role_id: int, rule_id: int) -> None:
        """Remove a rule. Raises NotFoundError."""
        await self._get(tenant_id, role_id, rule_id)
        await delete_rule(self._database, tenant_id, rule_id)

    async def _get(self, tenant_id: int, role_id: int, rule_id: int) -> RuleCard:
        for rule in await self.list(tenant_id, role_id):
            if rule.id == rule_id:
                return rule
        raise NotFoundError(f"There is no rule {rule_id} here.")


def _target(rule: RuleInput, position: int) -> RuleTarget:
    try:
        return RuleTarget(rule.tool_id, rule.pattern, rule.server_id, rule.category)
    except InvalidInputError as error:
        raise InvalidInputError(error.message, f"rules.{position}") from None


def _card(rule: Rule) -> RuleCard:
    return RuleCard(
        id=rule.id,
        role_id=rule.role_id,
        visibility=rule.visibility,
        version=rule.version,
        about=rule.target_description,
        tool_id=rule.target.tool_id,
        tool_name=rule.tool_name,
        tool_removed=rule.tool_removed,
        pattern=rule.target.pattern,
        server_id=rule.target.server_id,
        server_name=rule.server_name,
        category=rule.target.category,
        approve=rule.approve,
    )
