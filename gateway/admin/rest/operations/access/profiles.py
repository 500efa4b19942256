"""Profiles and what they select."""

from __future__ import annotations

from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.access.profiles import ProfileCard, ProfileChange, ProfileInput
from gateway.admin.services.access.rules import RuleCard, RuleChange, RulesInput


@operation("GET", "/profiles")
async def list_profiles(context: RestContext) -> list[ProfileCard]:
    """List the profiles."""
    return await context.services.profiles.list(context.tenant.id)


@operation("POST", "/profiles", status=201)
async def create_profile(context: RestContext, body: ProfileInput) -> ProfileCard:
    """Make a profile that selects nothing yet."""
    return await context.services.profiles.create(context.tenant.id, body)


@operation("GET", "/profiles/{profile_id}")
async def get_profile(context: RestContext, profile_id: int) -> ProfileCard:
    """Show a profile."""
    return await context.services.profiles.get(context.tenant.id, profile_id)


@operation("PATCH", "/profiles/{profile_id}")
async def change_profile(context: RestContext, profile_id: int, body: ProfileChange) -> ProfileCard:
    """Change a profile; 409 where another has changed it meanwhile."""
    return await context.services.profiles.change(context.tenant.id, profile_id, body)


@operation("DELETE", "/profiles/{profile_id}")
async def remove_profile(context: RestContext, profile_id: int) -> None:
    """Remove a profile; its endpoint is gone at once."""
    await context.services.profiles.remove(context.tenant.id, profile_id)


@operation("GET", "/profiles/{profile_id}/rules")
async def list_profile_rules(context: RestContext, profile_id: int) -> tuple[RuleCard, ...]:
    """List what a profile selects."""
    return await context.services.profiles.rules(context.tenant.id, profile_id)


@operation("POST", "/profiles/{profile_id}/rules")
async def set_profile_rules(context: RestContext, profile_id: int, body: RulesInput) -> tuple[RuleCard, ...]:
    """Select or leave out tools, servers, patterns and categories at once, all or none."""
    return await context.services.profiles.set_rules(context.tenant.id, profile_id, body)


@operation("PATCH", "/profiles/{profile_id}/rules/{rule_id}")
async def change_profile_rule(context: RestContext, profile_id: int, rule_id: int, body: RuleChange) -> RuleCard:
    """Change what a rule of a profile says; 409 where another has changed it meanwhile."""
    return await context.services.profiles.change_rule(context.tenant.id, profile_id, rule_id, body)


@operation("DELETE", "/profiles/{profile_id}/rules/{rule_id}")
async def remove_profile_rule(context: RestContext, profile_id: int, rule_id: int) -> None:
    """Remove a rule of a profile."""
    await context.services.profiles.remove_rule(context.tenant.id, profile_id, rule_id)


OPERATIONS = (
    list_profiles,
    create_profile,
    get_profile,
    change_profile,
    remove_profile,
    list_profile_rules,
    set_profile_rules,
    change_profile_rule,
    remove_profile_rule,
)
