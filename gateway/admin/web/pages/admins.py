"""The people who run the gateway, and one's own account."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from starlette.responses import Response

from gateway.admin.accounts.account import Admin
from gateway.admin.problem import problem_of
from gateway.admin.reading import read_form
from gateway.admin.services.access.admins import AdminInput, PasswordInput, TokenInput
from gateway.admin.web.export import csv_file
from gateway.admin.web.page import get, post
from gateway.admin.web.pages.keys import LIFETIMES
from gateway.admin.web.visit import HOME, PageContext, errors_of
from gateway.errors import InvalidInputError, ModelGateError

_PATH = f"{HOME}/admins"
_ACCOUNT = f"{HOME}/account"
_EXPORTED = ("id", "name", "role", "every_tenant", "tenants", "issuer", "has_password", "created_at", "signed_in_at")


async def list_admins(visit: PageContext) -> Response:
    """All accounts, and the form for another."""
    return await _admins(visit)


async def export(visit: PageContext) -> Response:
    """The accounts that `q` fits as CSV."""
    return csv_file("admins", _EXPORTED, await _fitting(visit))


async def create(visit: PageContext) -> Response:
    """Make an account."""
    sent = await visit.form()
    tenants = await visit.chosen("tenants")
    try:
        await visit.actions.admins.create(read_form(AdminInput, {**sent, "tenants": tenants or None}))
    except ModelGateError as error:
        return await _admins(visit, error, sent)
    return visit.to_address(_PATH)


async def set_password(visit: PageContext) -> Response:
    """Set the password of an account."""
    sent = await visit.form()
    try:
        await visit.actions.admins.set_password(visit.number("id"), read_form(PasswordInput, sent))
    except ModelGateError as error:
        told = {f"password-{visit.number('id')}": error.message}
        return await _admins(visit, error, {}, told)
    return visit.to_address(_PATH)


async def remove(visit: PageContext) -> Response:
    """Remove an account."""
    try:
        await visit.actions.admins.remove(visit.number("id"), visit.principal)
    except ModelGateError as error:
        return await _admins(visit, error, {})
    return visit.to_address(_PATH)


async def show_account(visit: PageContext) -> Response:
    """One's own password and tokens."""
    return await _account(visit)


async def change_password(visit: PageContext) -> Response:
    """A new password for oneself."""
    sent = await visit.form()
    current, new = sent.get("current_password", ""), sent.get("new_password", "")
    try:
        await visit.actions.entrance.change_password(visit.principal, current, new, visit.address)
    except InvalidInputError as error:
        if error.field == "current_password":
            error = InvalidInputError("This is not your present password.", error.field)
        return await _account(visit, error)
    return await _account(visit, done="The password is changed; your other sessions have ended.")


async def create_token(visit: PageContext) -> Response:
    """Make an API token; the answer to this request is the only place where it is seen."""
    sent = await visit.form()
    days = int(sent["days"]) if sent.get("days", "").isdigit() and len(sent["days"]) < 5 else 0
    ends = datetime.now(timezone.utc) + timedelta(days=days) if days else None
    try:
        values = {"name": sent.get("name", "").strip(), "role": sent.get("role"), "expires_at": ends}
        made = await visit.actions.admins.create_token(visit.principal, read_form(TokenInput, values))
    except ModelGateError as error:
        return await _account(visit, error, sent)
    return await _account(visit, made=made)


async def remove_token(visit: PageContext) -> Response:
    """End one of one's own tokens."""
    await visit.actions.admins.remove_token(visit.principal, visit.number("id"))
    return visit.to_address(_ACCOUNT)


async def _fitting(visit: PageContext) -> list[Admin]:
    wanted = visit.asked("q").lower()
    admins = await visit.actions.admins.list()
    return [each for each in admins if wanted in f"{each.name} {each.issuer or ''} {' '.join(each.tenants)}".lower()]


async def _admins(
    visit: PageContext,
    error: ModelGateError | None = None,
    sent: Mapping[str, Any] | None = None,
    told: Mapping[str, str] | None = None,
) -> Response:
    return visit.page(
        "admins.html",
        200 if error is None else problem_of(error).status,
        admins=await _fitting(visit),
        q=visit.asked("q"),
        tenants=await visit.actions.tenants.list(visit.principal),
        sent=sent or {},
        errors=told or ({} if error is None else errors_of(error)),
    )


async def _account(
    visit: PageContext, error: ModelGateError | None = None, sent: Mapping[str, Any] | None = None, **more: Any
) -> Response:
    return visit.page(
        "account.html",
        200 if error is None else problem_of(error).status,
        tokens=await visit.actions.admins.tokens(visit.principal),
        lifetimes=LIFETIMES,
        sent=sent or {},
        errors={} if error is None else errors_of(error),
        **{"made": None, "done": "", **more},
    )


PAGES = (
    get("/admins", list_admins, everywhere=True),
    get("/admins/export", export, everywhere=True),
    post("/admins", create, everywhere=True),
    post("/admins/{id:int}/password", set_password, everywhere=True),
    post("/admins/{id:int}/remove", remove, everywhere=True),
    get("/account", show_account, own=True),
    post("/account/password", change_password, own=True),
    post("/account/tokens", create_token, own=True),
    post("/account/tokens/{id:int}/remove", remove_token, own=True),
)
