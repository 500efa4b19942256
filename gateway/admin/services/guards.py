"""Guards of a tenant: their rules, and what one would have done about the last calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from gateway.admin.accounts.principal import Principal
from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.services.tools.tools import Category
from gateway.errors import NotFoundError
from gateway.guards.dry_run import MAX_CALLS, DryRun, DryRunReport
from gateway.guards.options import TRAITS
from gateway.guards.rule import FailMode, GuardAction, GuardKind, GuardRule, Stage, StoredGuardRule, Subject
from gateway.guards.rules import GuardRules
from gateway.masking import url_without_secrets

_Id = Annotated[int, Field(ge=1, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class GuardCard:
    """A guard's rule; what is null leaves open whom and what it is about. Rules are gone through by `position`.

    `new_secret` is what a webhook's requests are signed with where it was just made; it is shown this once.
    """

    id: int
    name: str
    guard: GuardKind
    action: GuardAction
    stages: tuple[Stage, ...]
    subjects: tuple[Subject, ...]
    position: int
    role_id: int | None
    role: str | None
    server_id: int | None
    server: str | None
    pattern: str | None
    category: str | None
    fail: FailMode
    budget_ms: int
    enabled: bool
    options: dict[str, Any]
    version: int
    new_secret: str | None = None


@dataclass(frozen=True, slots=True)
class GuardInput:
    """A guard's rule as it is to be. Without `stages` it is at all that its kind of guard knows.

    `secret` is for a webhook, which without one keeps the one it has, or gets one. With a `version` the rule is only
    changed where it is still at that.
    """

    guard: GuardKind
    action: GuardAction
    stages: tuple[Stage, ...] | None = None
    subjects: tuple[Subject, ...] = ("tools",)
    position: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    role_id: _Id | None = None
    server_id: _Id | None = None
    pattern: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    category: Category | None = None
    fail: FailMode = "closed"
    budget_ms: Annotated[int, Field(ge=1, le=60_000)] = 300
    enabled: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    secret: Annotated[str, Field(min_length=8, max_length=500)] | None = None
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class DryRunFilter:
    """How many of the last calls are looked at."""

    calls: Annotated[int, Field(ge=1, le=MAX_CALLS)] = 100

    __pydantic_config__ = FORBID_EXTRA


class GuardService:
    """Guards by name, and by number for pages."""

    def __init__(self, rules: GuardRules, dry_run: DryRun) -> None:
        self._rules = rules
        self._dry_run = dry_run

    async def list(self, tenant_id: int, principal: Principal) -> tuple[GuardCard, ...]:
        """All, in the order in which they are gone through; a viewer sees addresses without what may be secret."""
        return tuple(_card(stored, principal) for stored in await self._rules.list(tenant_id))

    async def get(self, tenant_id: int, name: str, principal: Principal) -> GuardCard:
        """Raises NotFoundError."""
        return _card(await self._rules.get(tenant_id, name), principal)

    async def by_id(self, tenant_id: int, guard_id: int, principal: Principal) -> GuardCard:
        """Raises NotFoundError."""
        for card in await self.list(tenant_id, principal):
            if card.id == guard_id:
                return card
        raise NotFoundError(f"There is no guard {guard_id} in this tenant.")

    async def set(self, tenant_id: int, name: str, given: GuardInput) -> GuardCard:
        """Make a guard, or set it as a whole. Raises InvalidInputError, NotFoundError and ConflictError."""
        rule = GuardRule(
            name=name,
            guard=given.guard,
            action=given.action,
            stages=given.stages or TRAITS[given.guard].stages,
            subjects=given.subjects,
            position=given.position,
            role_id=given.role_id,
            server_id=given.server_id,
            pattern=given.pattern,
            category=given.category,
            fail=given.fail,
            budget_ms=given.budget_ms,
            enabled=given.enabled,
            options=given.options,
        )
        return _card(await self._rules.set(tenant_id, rule, secret=given.secret, version=given.version))

    async def remove(self, tenant_id: int, name: str) -> None:
        """Raises NotFoundError."""
        await self._rules.remove(tenant_id, name)

    async def dry_run(self, tenant_id: int, name: str, calls: int) -> DryRunReport:
        """What it would have done about the last calls. Raises NotFoundError."""
        return await self._dry_run.run(tenant_id, await self._rules.get(tenant_id, name), calls)


def _card(stored: StoredGuardRule, principal: Principal | None = None) -> GuardCard:
    """What is shown of a rule: all of it to whoever has set it, or might."""
    rule = stored.rule
    options = dict(rule.options)
    if principal is not None and not principal.may_write and isinstance(options.get("url"), str):
        options["url"] = url_without_secrets(options["url"])
    return GuardCard(
        id=stored.id,
        name=rule.name,
        guard=rule.guard,
        action=rule.action,
        stages=rule.stages,
        subjects=rule.subjects,
        position=rule.position,
        role_id=rule.role_id,
        role=stored.role,
        server_id=rule.server_id,
        server=stored.server,
        pattern=rule.pattern,
        category=rule.category,
        fail=rule.fail,
        budget_ms=rule.budget_ms,
        enabled=rule.enabled,
        options=options,
        version=stored.version,
        new_secret=stored.new_secret,
    )
