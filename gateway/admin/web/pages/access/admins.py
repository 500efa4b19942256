"""The people who run the gateway, and one's own account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from gateway.admin.accounts.account import Admin
from gateway.admin.paths import HOME_PATH
from gateway.admin.request_input import parse_form
from gateway.admin.services.access.admins import AdminInput, PasswordInput, TokenInput
from gateway.admin.web.export import csv_response
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.admin.web.presentation.lifetime import LIFETIMES, parse_expiry
from gateway.errors import InvalidInputError, ModelGateError

_ADMINS_PATH = f"{HOME_PATH}/admins"
_ACCOUNT_PATH = f"{HOME_PATH}/account"
_CSV_COLUMNS = ("id", "name", "role", "every_tenant", "tenants", "issuer", "has_password", "created_at", "signed_in_at")


async def list_admins(context: PageContext) -> Response:
    """All accounts, and the form for another."""
    return await _admins(context)


async def export_admins(context: PageContext) -> Response:
    """The accounts that `q` fits as CSV."""
    return csv_response("admins", _CSV_COLUMNS, await _matching_admins(context))


async def create_admin(context: PageContext) -> Response:
    """Make an account."""
    submitted = await context.form()
    tenants = await context.form_list("tenants")
    try:
        await context.services.admins.create(parse_form(AdminInput, {**submitted, "tenants": tenants or None}))
    except ModelGateError as error:
        # Without the tenants, the form sent again would make an account for all of them.
        return await _admins(context, error, {**submitted, "tenants": tenants})
    return context.redirect_to(_ADMINS_PATH)


async def set_admin_password(context: PageContext) -> Response:
    """Set the password of an account."""
    submitted, admin_id = await context.form(), context.path_id("id")
    try:
        await context.services.admins.set_password(admin_id, parse_form(PasswordInput, submitted))
    except ModelGateError as error:
        # An account that is gone has no field any more.
        is_there = admin_id in {each.id for each in await context.services.admins.list()}
        return await _admins(context, error, errors={f"password-{admin_id}" if is_there else "": error.message})
    return context.redirect_to(_ADMINS_PATH)


async def remove_admin(context: PageContext) -> Response:
    """Remove an account."""
    try:
        await context.services.admins.remove(context.path_id("id"), context.principal)
    except ModelGateError as error:
        return await _admins(context, error)
    return context.redirect_to(_ADMINS_PATH)


async def show_account(context: PageContext) -> Response:
    """One's own password and tokens."""
    return await _account(context)


async def change_own_password(context: PageContext) -> Response:
    """A new password for oneself."""
    submitted = await context.form()
    current, new = submitted.get("current_password", ""), submitted.get("new_password", "")
    try:
        await context.services.authenticator.change_password(context.principal, current, new, context.admission.address)
    except InvalidInputError as error:
        if error.field == "current_password":
            error = InvalidInputError("This is not your present password.", error.field)
        return await _account(context, error)
    return await _account(context, done="The password is changed; your other sessions have ended.")


async def create_token(context: PageContext) -> Response:
    """Make an API token; the answer to this request is the only place where it is seen."""
    submitted = await context.form()
    try:
        values = {"name": submitted.get("name", "").strip(), "role": submitted.get("role")}
        token = parse_form(TokenInput, {**values, "expires_at": parse_expiry(submitted)})
        created = await context.services.admins.create_token(context.principal, token)
    except ModelGateError as error:
        return await _account(context, error, submitted)
    return await _account(context, created=created)


async def remove_token(context: PageContext) -> Response:
    """End one of one's own tokens."""
    await context.services.admins.remove_token(context.principal, context.path_id("id"))
    return context.redirect_to(_ACCOUNT_PATH)


async def _matching_admins(context: PageContext) -> list[Admin]:
    text = context.query("q").lower()
    admins = await context.services.admins.list()
    return [each for each in admins if text in f"{each.name} {each.issuer or ''} {' '.join(each.tenants)}".lower()]


async def _admins(
    context: PageContext,
    error: ModelGateError | None = None,
    submitted: Mapping[str, Any] | None = None,
    errors: Mapping[str, str] | None = None,
) -> Response:
    rejection = context.rejection(error)
    return context.render(
        "admins.html",
        rejection.status,
        admins=await _matching_admins(context),
        q=context.query("q"),
        tenants=await context.services.tenants.list(context.principal),
        submitted=submitted or {},
        errors=errors or rejection.errors,
    )


async def _account(
    context: PageContext, error: ModelGateError | None = None, submitted: Mapping[str, Any] | None = None, **more: Any
) -> Response:
    rejection = context.rejection(error)
    return context.render(
        "account.html",
        rejection.status,
        tokens=await context.services.admins.tokens(context.principal),
        lifetimes=LIFETIMES,
        submitted=submitted or {},
        errors=rejection.errors,
        **{"created": None, "done": "", **more},
    )


PAGES = (
    get("/admins", list_admins, gateway_wide=True),
    get("/admins/export", export_admins, gateway_wide=True),
    post("/admins", create_admin, gateway_wide=True),
    post("/admins/{id:int}/password", set_admin_password, gateway_wide=True),
    post("/admins/{id:int}/remove", remove_admin, gateway_wide=True),
    get("/account", show_account, own_account=True),
    post("/account/password", change_own_password, own_account=True),
    post("/account/tokens", create_token, own_account=True),
    post("/account/tokens/{id:int}/remove", remove_token, own_account=True),
)
