"""API keys of MCP clients: made, shown once with what each client wants to be told, and ended."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from starlette.responses import Response

from gateway.admin.reading import read_form
from gateway.admin.services.access.keys import KeyCard, KeyInput, MadeKey, Rotation
from gateway.admin.web.client_config import configurations
from gateway.admin.web.export import csv_file
from gateway.admin.web.page import get, post
from gateway.admin.web.visit import PageContext
from gateway.errors import ModelGateError

LIFETIMES = ((0, "never"), (1, "in a day"), (30, "in 30 days"), (90, "in 90 days"), (365, "in a year"))
"""Days after which a key ends, with words."""

_LIMITS = ("requests_per_minute", "concurrent_calls", "calls_per_day")
_EXPORTED = (
    *("id", "name", "state", "roles", "note", "created_at", "expires_at", "revoked_at", "last_used_at", "replaces"),
    *_LIMITS,
    "calls_today",
)


async def list_keys(visit: PageContext) -> Response:
    """All keys, and the form for another."""
    return visit.page("keys.html", **await _keys(visit), sent={"role": visit.asked("role")}, chosen=[])


async def export(visit: PageContext) -> Response:
    """The keys that `q` fits as CSV, without a character of any of them."""
    keys = await visit.actions.keys.list(visit.tenant.id)
    return csv_file(f"keys-{visit.tenant.slug}", _EXPORTED, _fitting(visit, keys))


async def create(visit: PageContext) -> Response:
    """Make a key; the answer to this request is the only place where it is seen."""
    sent = await visit.form()
    roles = await visit.chosen("roles")
    try:
        days = int(sent["days"]) if sent.get("days", "").isdigit() and len(sent["days"]) < 5 else 0
        values: dict[str, Any] = {"name": sent.get("name", "").strip(), "roles": roles}
        values |= {"note": sent.get("note", "").strip()}
        values |= {name: sent[name] for name in _LIMITS if sent.get(name, "").strip()}
        ends = datetime.now(timezone.utc) + timedelta(days=days) if days else None
        made = await visit.actions.keys.create(visit.tenant.id, read_form(KeyInput, {**values, "expires_at": ends}))
    except ModelGateError as error:
        return visit.refused("keys.html", error, sent, ("roles", "expires_at"), **await _keys(visit), chosen=roles)
    return _made(visit, made)


async def rotate(visit: PageContext) -> Response:
    """Make a key that takes over from another, which goes on for a while."""
    sent = await visit.form()
    made = await visit.actions.keys.rotate(visit.tenant.id, visit.number("key"), read_form(Rotation, sent))
    return _made(visit, made)


async def revoke(visit: PageContext) -> Response:
    """End a key at once."""
    await visit.actions.keys.revoke(visit.tenant.id, visit.number("key"))
    return visit.to("/keys")


def _made(visit: PageContext, made: MadeKey) -> Response:
    address = f"{visit.guard.base_url(visit.request)}/mcp"
    return visit.page("key_made.html", made=made, clients=configurations(address, made.key))


def _fitting(visit: PageContext, keys: list[KeyCard]) -> list[KeyCard]:
    wanted = visit.asked("q").lower()
    return [key for key in keys if wanted in f"{key.name} {key.hint} {' '.join(key.roles)}".lower()]


async def _keys(visit: PageContext) -> dict[str, Any]:
    keys = await visit.actions.keys.list(visit.tenant.id)
    return {
        "keys": _fitting(visit, keys),
        "everything": len(keys),
        "q": visit.asked("q"),
        "roles": await visit.actions.roles.list(visit.tenant.id),
        "lifetimes": LIFETIMES,
    }


PAGES = (
    get("/keys", list_keys),
    get("/keys/export", export),
    post("/keys", create),
    post("/keys/{key:int}/rotate", rotate),
    post("/keys/{key:int}/revoke", revoke),
)
