"""API keys of MCP clients: made, shown once with how each client is set up, and ended."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.access.keys import KeyCard, KeyInput, MadeKey, Rotation
from gateway.admin.web.client_setup import client_setups
from gateway.admin.web.export import csv_response
from gateway.admin.web.lifetime import LIFETIMES, parse_expiry
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.errors import ModelGateError

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
        fields |= {name: submitted[name] for name in _LIMITS if submitted.get(name, "").strip()}
        fields["rights"] = await context.form_list("rights")
        created = await context.services.keys.create(context.tenant.id, parse_form(KeyInput, fields))
    except ModelGateError as error:
        values = {**await _page_values(context), "chosen": roles}
        return context.render_form_errors("keys.html", error, submitted, ("roles", "expires_at"), **values)
    return _show_created(context, created)


async def rotate_key(context: PageContext) -> Response:
    """Make a key that takes over from another, which goes on for a while."""
    submitted = await context.form()
    rotation = parse_form(Rotation, submitted)
    created = await context.services.keys.rotate(context.tenant.id, context.path_id("key"), rotation)
    return _show_created(context, created)


async def revoke_key(context: PageContext) -> Response:
    """End a key at once."""
    await context.services.keys.revoke(context.tenant.id, context.path_id("key"))
    return context.redirect("/keys")


def _show_created(context: PageContext, created: MadeKey) -> Response:
    setups = client_setups(context.mcp_url, created.key)
    return context.render("key_created.html", created=created, setups=setups)


def _matching_keys(context: PageContext, keys: list[KeyCard]) -> list[KeyCard]:
    text = context.query("q").lower()
    return [key for key in keys if text in f"{key.name} {key.hint} {' '.join(key.roles)}".lower()]


async def _page_values(context: PageContext) -> dict[str, Any]:
    keys = await context.services.keys.list(context.tenant.id)
    return {
        "keys": _matching_keys(context, keys),
        "total": len(keys),
        "q": context.query("q"),
        "roles": await context.services.roles.list(context.tenant.id),
        "lifetimes": LIFETIMES,
    }


PAGES = (
    get("/keys", list_keys),
    get("/keys/export", export_keys),
    post("/keys", create_key),
    post("/keys/{key:int}/rotate", rotate_key),
    post("/keys/{key:int}/revoke", revoke_key),
)
