"""API keys of MCP clients: made, shown once with how each client is set up, and ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.access.keys import KeyCard, KeyFilter, KeyInput, MadeKey, Rotation
from gateway.admin.web.export import csv_response
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.admin.web.presentation.client_setup import KEY_PLACEHOLDER, client_setups
from gateway.admin.web.presentation.lifetime import LIFETIMES, parse_expiry
from gateway.errors import InvalidInputError, ModelGateError

_LIMITS = ("requests_per_minute", "concurrent_calls", "calls_per_day")
_CSV_COLUMNS = (
    *("id", "name", "state", "roles", "note", "created_at", "expires_at", "revoked_at", "last_used_at", "replaces"),
    *_LIMITS,
    "calls_today",
    "rights",
)


async def list_keys(context: PageContext) -> Response:
    """All keys, and the form for another."""
    values = await _page_values(context)
    return context.render("keys.html", **values, submitted={"role": context.query("role")}, chosen=[])


async def export_keys(context: PageContext) -> Response:
    """The keys that `q` fits as CSV, without a character of any of them."""
    keys = await context.services.keys.list(context.tenant.id)
    return csv_response(f"keys-{context.tenant.slug}", _CSV_COLUMNS, _matching_keys(context, keys))


async def create_key(context: PageContext) -> Response:
    """Make a key; the answer to this request is the only place where it is seen."""
    submitted = await context.form()
    roles = await context.form_list("roles")
    try:
        fields: dict[str, Any] = {"name": submitted.get("name", "").strip(), "roles": roles}
        fields |= {"note": submitted.get("note", "").strip(), "expires_at": parse_expiry(submitted)}
        fields |= {name: submitted[name].strip() for name in (*_LIMITS, "owner") if submitted.get(name, "").strip()}
        require_role(roles)
        fields["rights"] = await context.form_list("rights")
        created = await context.services.keys.create(context.tenant.id, parse_form(KeyInput, fields))
    except ModelGateError as error:
        values = {**await _page_values(context), "chosen": roles}
        return context.render_form_errors("keys.html", error, submitted, ("roles", "expires_at"), **values)
    return await _show_created(context, created)


async def rotate_key(context: PageContext) -> Response:
    """Make a key that takes over from another, which goes on for a while."""
    submitted = await context.form()
    rotation = parse_form(Rotation, submitted)
    created = await context.services.keys.rotate(context.tenant.id, context.path_id("key"), rotation)
    return await _show_created(context, created)


async def connect_client(context: PageContext) -> Response:
    """What each client is told to connect with a key that is there already."""
    key = await context.services.keys.get(context.tenant.id, context.path_id("key"))
    query = await context.services.keys.example_query(context.tenant.id, key.id)
    setups = client_setups(context.mcp_url, KEY_PLACEHOLDER, query)
    return context.render("key_connect.html", key=key, setups=setups, placeholder=KEY_PLACEHOLDER)


async def revoke_key(context: PageContext) -> Response:
    """End a key at once."""
    await context.services.keys.revoke(context.tenant.id, context.path_id("key"))
    return context.redirect("/keys")


def require_role(roles: Sequence[str]) -> None:
    """Raises InvalidInputError, as a form says it, where no role is chosen."""
    if not roles:
        raise InvalidInputError("Choose at least one role.", "roles")


async def _show_created(context: PageContext, created: MadeKey) -> Response:
    query = await context.services.keys.example_query(context.tenant.id, created.id)
    setups = client_setups(context.mcp_url, created.key, query)
    return context.render("key_created.html", created=created, setups=setups)


def _matching_keys(context: PageContext, keys: list[KeyCard]) -> list[KeyCard]:
    text = context.query("q").lower()
    return [key for key in keys if text in f"{key.name} {key.hint} {' '.join(key.roles)}".lower()]


async def _page_values(context: PageContext) -> dict[str, Any]:
    given = {"text": context.query("q") or None, "before": context.query("after") or None}
    page = await context.services.keys.page(context.tenant.id, parse_form(KeyFilter, given))
    return {
        "page": page,
        "q": context.query("q"),
        "after": context.query("after"),
        "roles": await context.services.roles.list(context.tenant.id),
        "lifetimes": LIFETIMES,
    }


PAGES = (
    get("/keys", list_keys),
    get("/keys/export", export_keys),
    post("/keys", create_key),
    get("/keys/{key:int}/connect", connect_client),
    post("/keys/{key:int}/rotate", rotate_key),
    post("/keys/{key:int}/revoke", revoke_key),
)
