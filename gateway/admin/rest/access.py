"""Keys, profiles and tenants."""

from __future__ import annotations

from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.access.keys import KeyCard, KeyInput, MadeKey, Rotation
from gateway.admin.services.access.profiles import ProfileCard, ProfileChange, ProfileInput
from gateway.admin.services.access.rules import RuleCard, RuleChange, RulesInput
from gateway.admin.services.access.tenants import Confirmation, TenantCard, TenantChange, TenantInput


@operation("GET", "/keys")
async def list_keys(visit: RestContext) -> list[KeyCard]:
    """List the API keys of MCP clients, without the keys themselves."""
    return await visit.actions.keys.list(visit.tenant.id)


@operation("POST", "/keys", status=201)
async def create_key(visit: RestContext, body: KeyInput) -> MadeKey:
    """Make a key; it is shown this once."""
    return await visit.actions.keys.create(visit.tenant.id, body)


@operation("GET", "/keys/{key_id}")
async def get_key(visit: RestContext, key_id: int) -> KeyCard:
    """Show a key, without the key itself."""
    return await visit.actions.keys.get(visit.tenant.id, key_id)


@operation("PUT", "/keys/{key_id}")
async def change_key(visit: RestContext, key_id: int, body: KeyInput) -> KeyCard:
    """Write anew the name, roles, end, note and limits of a key."""
    return await visit.actions.keys.change(visit.tenant.id, key_id, body)


@operation("POST", "/keys/{key_id}/rotate", status=201)
async def rotate_key(visit: RestContext, key_id: int, body: Rotation) -> MadeKey:
    """Make a key that takes over from this one; it is shown this once."""
    return await visit.actions.keys.rotate(visit.tenant.id, key_id, body)


@operation("DELETE", "/keys/{key_id}")
async def revoke_key(visit: RestContext, key_id: int) -> None:
    """End a key at once."""
    await visit.actions.keys.revoke(visit.tenant.id, key_id)


@operation("GET", "/profiles")
async def list_profiles(visit: RestContext) -> list[ProfileCard]:
    """List the profiles."""
    return await visit.actions.profiles.list(visit.tenant.id)


@operation("POST", "/profiles", status=201)
async def create_profile(visit: RestContext, body: ProfileInput) -> ProfileCard:
    """Make a profile that selects nothing yet."""
    return await visit.actions.profiles.create(visit.tenant.id, body)


@operation("GET", "/profiles/{profile_id}")
async def get_profile(visit: RestContext, profile_id: int) -> ProfileCard:
    """Show a profile."""
    return await visit.actions.profiles.get(visit.tenant.id, profile_id)


@operation("PATCH", "/profiles/{profile_id}")
async def change_profile(visit: RestContext, profile_id: int, body: ProfileChange) -> ProfileCard:
    """Change a profile; 409 where another has changed it meanwhile."""
    return await visit.actions.profiles.change(visit.tenant.id, profile_id, body)


@operation("DELETE", "/profiles/{profile_id}")
async def remove_profile(visit: RestContext, profile_id: int) -> None:
    """Remove a profile; its endpoint is gone at once."""
    await visit.actions.profiles.remove(visit.tenant.id, profile_id)


@operation("GET", "/profiles/{profile_id}/rules")
async def list_profile_rules(visit: RestContext, profile_id: int) -> tuple[RuleCard, ...]:
    """List what a profile selects."""
    return await visit.actions.profiles.rules(visit.tenant.id, profile_id)


@operation("POST", "/profiles/{profile_id}/rules")
async def set_profile_rules(visit: RestContext, profile_id: int, body: RulesInput) -> tuple[RuleCard, ...]:
    """Select or leave out tools, servers, patterns and categories at once, all or none."""
    return await visit.actions.profiles.set_rules(visit.tenant.id, profile_id, body)


@operation("PATCH", "/profiles/{profile_id}/rules/{rule_id}")
async def change_profile_rule(visit: RestContext, profile_id: int, rule_id: int, body: RuleChange) -> RuleCard:
    """Change what a rule of a profile says; 409 where another has changed it meanwhile."""
    return await visit.actions.profiles.change_rule(visit.tenant.id, profile_id, rule_id, body)


@operation("DELETE", "/profiles/{profile_id}/rules/{rule_id}")
async def remove_profile_rule(visit: RestContext, profile_id: int, rule_id: int) -> None:
    """Remove a rule of a profile."""
    await visit.actions.profiles.remove_rule(visit.tenant.id, profile_id, rule_id)


@operation("GET", "/tenants", own=True)
async def list_tenants(visit: RestContext) -> list[TenantCard]:
    """List the tenants that one may enter."""
    return await visit.actions.tenants.list(visit.principal)


@operation("POST", "/tenants", everywhere=True, status=201)
async def create_tenant(visit: RestContext, body: TenantInput) -> TenantCard:
    """Make a tenant."""
    return await visit.actions.tenants.create(body, visit.principal)


@operation("PATCH", "/tenants/{tenant_id}", everywhere=True)
async def change_tenant(visit: RestContext, tenant_id: int, body: TenantChange) -> TenantCard:
    """Rename, suspend or readmit a tenant."""
    return await visit.actions.tenants.change(tenant_id, body, visit.principal)


@operation("DELETE", "/tenants/{tenant_id}", everywhere=True)
async def remove_tenant(visit: RestContext, tenant_id: int, query: Confirmation) -> None:
    """Remove a tenant with everything in it, after its slug was typed once more."""
    await visit.actions.tenants.remove(tenant_id, query)


OPERATIONS = (
    list_keys,
    create_key,
    get_key,
    change_key,
    rotate_key,
    revoke_key,
    list_profiles,
    create_profile,
    get_profile,
    change_profile,
    remove_profile,
    list_profile_rules,
    set_profile_rules,
    change_profile_rule,
    remove_profile_rule,
    list_tenants,
    create_tenant,
    change_tenant,
    remove_tenant,
)
