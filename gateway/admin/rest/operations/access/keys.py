"""Keys of MCP clients."""

from __future__ import annotations

from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.access.keys import KeyCard, KeyInput, MadeKey, Rotation


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


OPERATIONS = (
    list_keys,
    create_key,
    get_key,
    change_key,
    rotate_key,
    revoke_key,
)
