"""The gateway itself: its admins, embedding, numbers and settings."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from gateway.admin.accounts.account import Admin
from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.access.admins import AdminChange, AdminInput, PasswordInput
from gateway.admin.services.embedding import EmbeddingView
from gateway.admin.services.overview import Overview


@operation("GET", "/admins", everywhere=True)
async def list_admins(visit: RestContext) -> list[Admin]:
    """List the people who run the gateway."""
    return await visit.actions.admins.list()


@operation("POST", "/admins", everywhere=True, status=201)
async def create_admin(visit: RestContext, body: AdminInput) -> Admin:
    """Make an account."""
    return await visit.actions.admins.create(body)


@operation("GET", "/admins/{admin_id}", everywhere=True)
async def get_admin(visit: RestContext, admin_id: int) -> Admin:
    """Show an account."""
    return await visit.actions.admins.get(admin_id)


@operation("PUT", "/admins/{admin_id}", everywhere=True)
async def change_admin(visit: RestContext, admin_id: int, body: AdminChange) -> Admin:
    """Change what an account may do; 409 where another has changed it meanwhile."""
    return await visit.actions.admins.change(admin_id, body)


@operation("DELETE", "/admins/{admin_id}", everywhere=True)
async def remove_admin(visit: RestContext, admin_id: int) -> None:
    """Remove an account with its sessions and tokens."""
    await visit.actions.admins.remove(admin_id, visit.principal)


@operation("PUT", "/admins/{admin_id}/password", everywhere=True)
async def set_admin_password(visit: RestContext, admin_id: int, body: PasswordInput) -> None:
    """Set the password of an account; its sessions end."""
    await visit.actions.admins.set_password(admin_id, body)


@operation("GET", "/embedding")
async def get_embedding(visit: RestContext) -> EmbeddingView:
    """Show the embedding spaces and whether the embedder answers."""
    return await visit.actions.embedding.get(visit.tenant.id)


@operation("GET", "/overview")
async def get_overview(visit: RestContext) -> Overview:
    """Show the tenant in numbers."""
    return await visit.actions.overview.get(visit.tenant.id)


@operation("GET", "/settings", everywhere=True)
async def get_settings(visit: RestContext) -> Mapping[str, Mapping[str, JsonValue]]:
    """Show the settings in force, secrets masked."""
    return visit.actions.overview.settings()


OPERATIONS = (
    list_admins,
    create_admin,
    get_admin,
    change_admin,
    remove_admin,
    set_admin_password,
    get_embedding,
    get_overview,
    get_settings,
)
