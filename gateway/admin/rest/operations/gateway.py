"""The gateway itself: its admins, embedding, numbers and settings."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from gateway.admin.accounts.account import Admin
from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.access.admins import AdminChange, AdminInput, PasswordInput
from gateway.admin.services.embedding.embedding import EmbeddingView, SpaceSwitchInput
from gateway.admin.services.embedding.space_comparison import SpaceComparison, SpaceComparisonQuery
from gateway.admin.services.gateway_log import LogEntry, LogFilter
from gateway.admin.services.overview import Overview, SettingView


@operation("GET", "/admins", gateway_wide=True)
async def list_admins(context: RestContext) -> list[Admin]:
    """List the people who run the gateway."""
    return await context.services.admins.list()


@operation("POST", "/admins", gateway_wide=True, status=201)
async def create_admin(context: RestContext, body: AdminInput) -> Admin:
    """Make an account."""
    return await context.services.admins.create(body)


@operation("GET", "/admins/{admin_id}", gateway_wide=True)
async def get_admin(context: RestContext, admin_id: int) -> Admin:
    """Show an account."""
    return await context.services.admins.get(admin_id)


@operation("PUT", "/admins/{admin_id}", gateway_wide=True)
async def change_admin(context: RestContext, admin_id: int, body: AdminChange) -> Admin:
    """Change what an account may do; 409 where another has changed it meanwhile."""
    return await context.services.admins.change(admin_id, body)


@operation("DELETE", "/admins/{admin_id}", gateway_wide=True)
async def remove_admin(context: RestContext, admin_id: int) -> None:
    """Remove an account with its sessions and tokens."""
    await context.services.admins.remove(admin_id, context.principal)


@operation("PUT", "/admins/{admin_id}/password", gateway_wide=True)
async def set_admin_password(context: RestContext, admin_id: int, body: PasswordInput) -> None:
    """Set the password of an account; its sessions end."""
    await context.services.admins.set_password(admin_id, body)


@operation("GET", "/embedding")
async def get_embedding(context: RestContext) -> EmbeddingView:
    """Show the embedding spaces and whether the embedder answers."""
    return await context.services.embedding.get(context.tenant.id)


@operation("POST", "/embedding/switch", gateway_wide=True)
async def switch_space(context: RestContext, body: SpaceSwitchInput) -> None:
    """Let another embedding space serve, or a share of the searches; 409 where it cannot."""
    await context.services.embedding.switch(body)


@operation("POST", "/embedding/compare", write=False)
async def compare_spaces(context: RestContext, body: SpaceComparisonQuery) -> SpaceComparison:
    """Answer a query in the space that serves and in another one, side by side."""
    return await context.services.space_comparison.compare(context.tenant.id, body)


@operation("POST", "/embedding/spaces/{space_id}/pause", gateway_wide=True)
async def pause_space(context: RestContext, space_id: int) -> None:
    """Neither fill an embedding space nor switch to it until it is resumed."""
    await context.services.embedding.pause(space_id)


@operation("POST", "/embedding/spaces/{space_id}/resume", gateway_wide=True)
async def resume_space(context: RestContext, space_id: int) -> None:
    """Go on with an embedding space that is paused."""
    await context.services.embedding.resume(space_id)


@operation("DELETE", "/embedding/cache", gateway_wide=True)
async def clear_embedding_cache(context: RestContext) -> None:
    """Forget the vectors of all queries, in every process."""
    await context.services.embedding.clear_cache()


@operation("DELETE", "/embedding/spaces/{space_id}", gateway_wide=True)
async def drop_space(context: RestContext, space_id: int) -> None:
    """Drop an embedding space with its vectors; 409 where it serves."""
    await context.services.embedding.drop(space_id)


@operation("GET", "/overview")
async def get_overview(context: RestContext) -> Overview:
    """Show the tenant in numbers."""
    return await context.services.overview.get(context.tenant.id)


@operation("GET", "/settings", gateway_wide=True)
async def get_settings(context: RestContext) -> Mapping[str, Mapping[str, JsonValue]]:
    """Show the settings in force, secrets masked."""
    return context.services.overview.settings()


@operation("GET", "/log", gateway_wide=True, write=True)
async def list_log(context: RestContext, query: LogFilter) -> tuple[LogEntry, ...]:
    """Show the last lines of this gateway process's log, newest first."""
    return context.services.gateway_log.list(query)


@operation("GET", "/settings/sources", gateway_wide=True)
async def list_setting_sources(context: RestContext) -> list[SettingView]:
    """List the settings in force, secrets masked, and where each comes from."""
    return context.services.overview.setting_views()


OPERATIONS = (
    list_setting_sources,
    list_log,
    list_admins,
    create_admin,
    get_admin,
    change_admin,
    remove_admin,
    set_admin_password,
    get_embedding,
    clear_embedding_cache,
    switch_space,
    compare_spaces,
    pause_space,
    resume_space,
    drop_space,
    get_overview,
    get_settings,
)
