"""Profiles: named selections of tools with an endpoint of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from gateway.access.caller import ListMode
from gateway.access.profiles import ProfileRecord, Profiles
from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.services.access.rules import RuleCard, RuleChange, RuleService, RulesInput
from gateway.database.pool import Database
from gateway.errors import NotFoundError

_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
_Description = Annotated[str, Field(max_length=2_000)]


@dataclass(frozen=True, slots=True)
class ProfileCard:
    """A profile as a list shows it; its endpoint is `path`. `list_mode`: what tools/list shows there."""

    id: int
    name: str
    path: str
    description: str
    list_mode: ListMode
    version: int
    rules: int


@dataclass(frozen=True, slots=True)
class ProfileInput:
    """A profile to be made: search only, list all, or list a chosen few."""

    name: _Name
    list_mode: ListMode = "search"
    description: _Description = ""

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """What of a profile is to be changed; null stays. `version` is that of the profile when it was looked at."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    name: _Name | None = None
    list_mode: ListMode | None = None
    description: _Description | None = None

    __pydantic_config__ = FORBID_EXTRA


class ProfileService:
    """Profiles of a tenant; what they select are rules."""

    def __init__(self, database: Database) -> None:
        self._profiles = Profiles(database)
        self._rules = RuleService(database)

    async def list(self, tenant_id: int) -> list[ProfileCard]:
        """Every profile, by name."""
        return [_card(record) for record in await self._profiles.list(tenant_id)]

    async def get(self, tenant_id: int, profile_id: int) -> ProfileCard:
        """One profile. Raises NotFoundError."""
        for card in await self.list(tenant_id):
            if card.id == profile_id:
                return card
        raise NotFoundError(f"There is no profile {profile_id} in this tenant.")

    async def create(self, tenant_id: int, new: ProfileInput) -> ProfileCard:
        """Make a profile that selects nothing yet. Raises InvalidInputError, ConflictError where the name is taken."""
        made = await self._profiles.create(tenant_id, new.name, new.list_mode, new.description)
        return await self.get(tenant_id, made.id)

    async def change(self, tenant_id: int, profile_id: int, change: ProfileChange) -> ProfileCard:
        """Change a profile. Raises NotFoundError, InvalidInputError, and ConflictError where another has changed it."""
        await self.get(tenant_id, profile_id)
        await self._profiles.update(
            tenant_id,
            profile_id,
            change.version,
            name=change.name,
            list_mode=change.list_mode,
            description=change.description,
        )
        return await self.get(tenant_id, profile_id)

    async def remove(self, tenant_id: int, profile_id: int) -> None:
        """Remove a profile; its endpoint is gone at once. Raises NotFoundError."""
        await self.get(tenant_id, profile_id)
        await self._profiles.delete(tenant_id, profile_id)

    async def rules(self, tenant_id: int, profile_id: int) -> tuple[RuleCard, ...]:
        """What a profile selects, the more specific first. Raises NotFoundError."""
        await self.get(tenant_id, profile_id)
        return await self._rules.list(tenant_id, profile_id)

    async def set_rules(self, tenant_id: int, profile_id: int, rules: RulesInput) -> tuple[RuleCard, ...]:
        """Select or leave out at once; raises as `RuleService.set`."""
        await self.get(tenant_id, profile_id)
        return await self._rules.set(tenant_id, profile_id, rules)

    async def change_rule(self, tenant_id: int, profile_id: int, rule_id: int, change: RuleChange) -> RuleCard:
        """Change one rule; raises as `RuleService.change`."""
        await self.get(tenant_id, profile_id)
        return await self._rules.change(tenant_id, profile_id, rule_id, change)

    async def remove_rule(self, tenant_id: int, profile_id: int, rule_id: int) -> None:
        """Remove one rule. Raises NotFoundError."""
        await self.get(tenant_id, profile_id)
        await self._rules.remove(tenant_id, profile_id, rule_id)


def _card(record: ProfileRecord) -> ProfileCard:
    return ProfileCard(
        record.id,
        record.name,
        f"/mcp/p/{record.name}",
        record.description,
        record.list_mode,
        record.version,
        record.rule_count,
    )
