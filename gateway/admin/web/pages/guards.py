"""Guards: all of them, one to be set or made, and what it would have done about the last calls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from gateway.admin.request_input import parse_json
from gateway.admin.services.guards import GuardCard, GuardInput
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.catalog.category import CATEGORIES
from gateway.errors import InvalidInputError, ModelGateError
from gateway.guards.rule import GUARD_ACTIONS, GUARD_KINDS, STAGES, SUBJECTS

_TRIED_CALLS = 200
_NUMBERS = ("role_id", "server_id", "position", "budget_ms")
_TEXTS = ("guard", "action", "pattern", "category", "fail", "secret")


async def list_guards(context: PageContext) -> Response:
    """All guards, in the order in which they are gone through, and the form for another."""
    return context.render("guards.html", **await _list_values(context), submitted={})


async def create_guard(context: PageContext) -> Response:
    """Make a guard, and go to it."""
    submitted = await context.form()
    chosen = await _chosen(context)
    try:
        name = submitted.get("name", "").strip()
        if any(card.name == name for card in await context.services.guards.list(context.tenant.id, context.principal)):
            raise InvalidInputError(f"There is a guard {name} already; choose another name.", "name")
        card = await context.services.guards.set(context.tenant.id, name, _read(submitted, chosen))
    except ModelGateError as error:
        return context.render_form_errors(
            "guards.html", error, {**submitted, **chosen}, also=("name",), **await _list_values(context)
        )
    if card.new_secret is not None:
        return context.render("guard.html", **await _values(context, card), submitted=_as_submitted(card))
    return context.redirect(f"/guards/{card.id}")


async def show_guard(context: PageContext) -> Response:
    """One guard, and the form to change it."""
    card = await context.services.guards.by_id(context.tenant.id, context.path_id("guard"), context.principal)
    return context.render("guard.html", **await _values(context, card), submitted=_as_submitted(card))


async def change_guard(context: PageContext) -> Response:
    """Set a guard as a whole."""
    card = await context.services.guards.by_id(context.tenant.id, context.path_id("guard"), context.principal)
    submitted = await context.form()
    chosen = await _chosen(context)
    try:
        await context.services.guards.set(context.tenant.id, card.name, _read(submitted, chosen))
    except ModelGateError as error:
        return context.render_form_errors("guard.html", error, {**submitted, **chosen}, **await _values(context, card))
    return context.redirect(f"/guards/{card.id}")


async def remove_guard(context: PageContext) -> Response:
    """Remove a guard."""
    card = await context.services.guards.by_id(context.tenant.id, context.path_id("guard"), context.principal)
    await context.services.guards.remove(context.tenant.id, card.name)
    return context.redirect("/guards")


async def try_guard(context: PageContext) -> Response:
    """What it would have done about the last calls."""
    card = await context.services.guards.by_id(context.tenant.id, context.path_id("guard"), context.principal)
    report = await context.services.guards.dry_run(context.tenant.id, card.name, _TRIED_CALLS)
    return context.render("guard.html", **await _values(context, card), submitted=_as_submitted(card), report=report)


async def _chosen(context: PageContext) -> dict[str, list[str]]:
    return {name: await context.form_list(name) for name in ("stages", "subjects")}


def _read(submitted: Mapping[str, str], chosen: Mapping[str, list[str]]) -> GuardInput:
    """What a form says. Raises InvalidInputError."""
    given: dict[str, Any] = {name: submitted[name].strip() for name in _TEXTS if submitted.get(name, "").strip()}
    for name in _NUMBERS:
        text = submitted.get(name, "").strip()
        if text:
            given[name] = int(text) if text.isdecimal() and len(text) < 19 else text
    given |= {name: values for name, values in chosen.items() if values}
    given["enabled"] = submitted.get("enabled") == "on"
    options = submitted.get("options", "").strip() or "{}"
    try:
        given["options"] = json.loads(options)
    except ValueError:
        raise InvalidInputError('The options have to be JSON, as {"max_bytes": 10000}.', "options") from None
    return parse_json(GuardInput, json.dumps(given).encode())


def _as_submitted(card: GuardCard) -> dict[str, Any]:
    """A guard as the fields of its form."""
    fields = {name: getattr(card, name) for name in (*_TEXTS[:-1], *_NUMBERS, "stages", "subjects")}
    shown = {name: "" if value is None else value for name, value in fields.items()}
    options = json.dumps(card.options, ensure_ascii=False, indent=2)
    return {**shown, "enabled": "on" if card.enabled else "", "options": options, "secret": ""}


async def _list_values(context: PageContext) -> dict[str, Any]:
    return {
        "guards": await context.services.guards.list(context.tenant.id, context.principal),
        **await _choices(context),
    }


async def _values(context: PageContext, card: GuardCard) -> dict[str, Any]:
    return {"guard": card, **await _choices(context)}


async def _choices(context: PageContext) -> dict[str, Any]:
    tenant_id = context.tenant.id
    roles = await context.services.roles.list(tenant_id)
    servers = await context.services.servers.names(tenant_id)
    return {
        "kinds": [(kind, kind) for kind in GUARD_KINDS],
        "actions": [(action, action) for action in GUARD_ACTIONS],
        "stages": STAGES,
        "subjects": SUBJECTS,
        "roles": [("", "any role"), *((role.id, role.name) for role in roles)],
        "servers": [("", "any server"), *((server.id, server.name) for server in servers)],
        "categories": [("", "any category"), *((category, category) for category in CATEGORIES)],
    }


PAGES = (
    get("/guards", list_guards),
    post("/guards", create_guard),
    get("/guards/{guard:int}", show_guard),
    post("/guards/{guard:int}", change_guard),
    post("/guards/{guard:int}/remove", remove_guard),
    post("/guards/{guard:int}/try", try_guard),
)
