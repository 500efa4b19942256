"""The page of one key: what goes with it, what it did, and changing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.access.keys import KeyCard, KeyInput
from gateway.admin.services.calls import CallFilter
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.admin.web.pages.access.keys import require_role
from gateway.admin.web.presentation.lifetime import LIFETIMES, parse_expiry
from gateway.errors import ModelGateError

_LIMITS = ("requests_per_minute", "concurrent_calls", "calls_per_day")
_KEEP = "keep"
_MAX_CALLS = 20


async def show_key(context: PageContext) -> Response:
    """All there is to know of a key, but the key itself."""
    key = await context.services.keys.get(context.tenant.id, context.path_id("key"))
    return context.render("key.html", **await _values(context, key), submitted=_typed(key), chosen=key.roles)


async def change_key(context: PageContext) -> Response:
    """Write anew what goes with the key; it holds for the next request."""
    submitted, roles = await context.form(), await context.form_list("roles")
    key = await context.services.keys.get(context.tenant.id, context.path_id("key"))
    try:
        fields: dict[str, Any] = {"name": submitted.get("name", "").strip(), "roles": roles}
        fields |= {"note": submitted.get("note", "").strip(), "rights": await context.form_list("rights")}
        fields |= {name: submitted[name].strip() for name in (*_LIMITS, "owner") if submitted.get(name, "").strip()}
        require_role(roles)
        fields["expires_at"] = key.expires_at if submitted.get("days") == _KEEP else parse_expiry(submitted)
        await context.services.keys.change(context.tenant.id, key.id, parse_form(KeyInput, fields))
    except ModelGateError as error:
        values = {**await _values(context, key), "chosen": roles}
        return context.render_form_errors("key.html", error, submitted, ("roles", "expires_at"), **values)
    return context.redirect(f"/keys/{key.id}")


async def _values(context: PageContext, key: KeyCard) -> dict[str, Any]:
    calls = await context.services.calls.list(context.tenant.id, CallFilter(key_id=key.id, limit=_MAX_CALLS))
    return {
        "key": key,
        "usage": await context.services.usage.of_key(context.tenant.id, key.id),
        "calls": calls.items,
        "roles": await context.services.roles.list(context.tenant.id),
        "lifetimes": _lifetimes(key),
    }


def _lifetimes(key: KeyCard) -> Sequence[tuple[object, str]]:
    kept = "never, as now" if key.expires_at is None else f"on {key.expires_at:%Y-%m-%d}, as now"
    return ((_KEEP, kept), *(lifetime for lifetime in LIFETIMES if key.expires_at is not None or lifetime[0]))


def _typed(key: KeyCard) -> Mapping[str, object]:
    """The form's fields as the key has them."""
    limits = {name: getattr(key, name) for name in _LIMITS}
    rights = " ".join(key.rights)
    return {"name": key.name, "note": key.note, "rights": rights, "owner": key.owner or "", **limits}


PAGES = (get("/keys/{key:int}", show_key), post("/keys/{key:int}", change_key))
