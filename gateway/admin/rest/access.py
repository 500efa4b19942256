"""Keys, profiles and tenants."""

from __future__ import annotations

from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.access.keys import KeyCard, KeyInput, MadeKey, Rotation
from gateway.admin.services.access.profiles import ProfileCard, ProfileChange, ProfileInput
from gateway.admin.services.access.rules import RuleCard, RuleChange, RulesInput
from gateway.admin.services.access.tenants import Confirmation, TenantCard, TenantChange, TenantInput


@operation("GET", "/keys")
async def list_keys(context: RestContext) -> list[KeyCard]:
    """List the API keys of MCP clients, without the keys themselves."""
    return await context.services.keys.list(context.tenant.id)


@operation("POST", "/keys", status=201)
async def create_key(context: RestContext, body: KeyInput) -> MadeKey:
    """Make a key; it is shown this once."""
    return await context.services.keys.create(context.tenant.id, body)


@operation("GET", "/keys/{key_id}")
async def get_key(context: RestContext, key_id: int) -> KeyCard:
    """Show a key, without the key itself."""
    return await context.services.keys.get(context.tenant.id, key_id)


@operation("PUT", "/keys/{key_id}")
async def change_key(context: RestContext, key_id: int, body: KeyInput) -> KeyCard:
    """Write anew the name, roles, rights, end, note and limits of a key."""
    return await context.services.keys.change(context.tenant.id, key_id, body)


@operation("POST", "/keys/{key_id}/rotate", status=201)
async def rotate_key(context: RestContext, key_id: int, body: Rotation) -> MadeKey:
    """Make a key that takes over from this one; it is shown this once."""
    return await context.services.keys.rotate(context.tenant.id, key_id, body)


@operation("DELETE", "/keys/{key_id}")
async def revoke_key(context: RestContext, key_id: int) -> None:
    """End a key at once."""
    await context.services.keys.revoke(context.tenant.id, key_id)


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


@operation("GET", "/tenants", own_account=True)
async def list_tenants(context: RestContext) -> list[TenantCard]:
    """List the tenants that one may enter."""
    return await context.services.tenants.list(context.principal)


@operation("POST", "/tenants", gateway_wide=True, status=201)
async def create_tenant(context: RestContext, body: TenantInput) -> TenantCard:
    """Make a tenant."""
    return await context.services.tenants.create(body, context.principal)


@operation("PATCH", "/tenants/{tenant_id}", gateway_wide=True)
async def change_tenant(context: RestContext, tenant_id: int, body: TenantChange) -> TenantCard:
    """Rename, suspend or readmit a tenant."""
    return await context.services.tenants.change(tenant_id, body, context.principal)


@operation("DELETE", "/tenants/{tenant_id}", gateway_wide=True)
async def remove_tenant(context: RestContext, tenant_id: int, query: Confirmation) -> None:
    """Remove a tenant with everything in it, after its slug was typed once more."""
    await context.services.tenants.remove(tenant_id, query)


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
