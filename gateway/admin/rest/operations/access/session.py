"""Signing in and out, the first admin, one's own password and tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field
from starlette.responses import Response

from gateway.admin.accounts.account import Admin, AdminRole
from gateway.admin.accounts.authenticator import NewSession
from gateway.admin.accounts.secret import derive_csrf_token
from gateway.admin.accounts.token import ApiToken, NewApiToken
from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.rest.json_response import json_response
from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.access.admins import TokenInput

_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Password = Annotated[str, Field(min_length=1, max_length=1_000)]


@dataclass(frozen=True, slots=True)
class SignIn:
    """A name and its password."""

    name: _Name
    password: _Password = field(repr=False)

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class FirstAdmin:
    """The token of the link that the gateway printed, and the account to be made."""

    token: Annotated[str, Field(min_length=1, max_length=200)] = field(repr=False)
    name: _Name
    password: _Password = field(repr=False)

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class PasswordChange:
    """One's present password, and the one to have from now on."""

    current_password: _Password = field(repr=False)
    new_password: _Password = field(repr=False)

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class SessionView:
    """Who is signed in and how. `role` is what counts: a token may do less than its admin.

    `csrf_token` goes into the X-CSRF-Token header of every change; None for a token, which needs none.
    """

    id: int
    name: str
    role: AdminRole
    every_tenant: bool
    tenants: tuple[str, ...]
    via: Literal["session", "token"]
    has_password: bool
    signed_in_at: datetime | None
    csrf_token: str | None


@operation("POST", "/session", public=True, returns=SessionView)
async def sign_in(context: RestContext, body: SignIn) -> Response:
    """Sign in with a password.

    The session comes in a cookie. After repeated failures a name, or an address, has to wait: 429 with Retry-After.
    """
    opened = await context.services.authenticator.sign_in(body.name, body.password, context.admission.address)
    return _open_session(context, opened)


@operation("GET", "/session", own_account=True)
async def get_session(context: RestContext) -> SessionView:
    """Tell who is signed in."""
    principal = context.principal
    return _session_view(principal.admin, principal.role, principal.via, principal.csrf_token)


@operation("DELETE", "/session", own_account=True)
async def sign_out(context: RestContext) -> Response:
    """Sign out."""
    await context.services.authenticator.sign_out(context.principal)
    response = Response(status_code=204)
    context.cookie.delete(context.request, response)
    return response


@operation("POST", "/session/password", own_account=True)
async def change_own_password(context: RestContext, body: PasswordChange) -> None:
    """Change one's own password; one's other sessions end."""
    await context.services.authenticator.change_password(
        context.principal, body.current_password, body.new_password, context.admission.address
    )


@operation("POST", "/setup", public=True, returns=SessionView)
async def make_first_admin(context: RestContext, body: FirstAdmin) -> Response:
    """Make the first admin, with the token of the link that the gateway printed, and sign them in."""
    opened = await context.services.authenticator.complete_setup(
        body.token, body.name, body.password, context.admission.address
    )
    return _open_session(context, opened)


@operation("GET", "/tokens", own_account=True)
async def list_tokens(context: RestContext) -> tuple[ApiToken, ...]:
    """List one's own API tokens."""
    return await context.services.admins.tokens(context.principal)


@operation("POST", "/tokens", own_account=True, status=201)
async def create_token(context: RestContext, body: TokenInput) -> NewApiToken:
    """Make an API token; it is shown this once."""
    return await context.services.admins.create_token(context.principal, body)


@operation("DELETE", "/tokens/{token_id}", own_account=True)
async def remove_token(context: RestContext, token_id: int) -> None:
    """End one of one's own API tokens at once."""
    await context.services.admins.remove_token(context.principal, token_id)


def _open_session(context: RestContext, opened: NewSession) -> Response:
    view = _session_view(opened.admin, opened.admin.role, "session", derive_csrf_token(opened.session))
    response = json_response(SessionView, view)
    context.cookie.set(context.request, response, opened.session)
    return response


def _session_view(
    admin: Admin, role: AdminRole, via: Literal["session", "token"], csrf_token: str | None
) -> SessionView:
    return SessionView(
        admin.id,
        admin.name,
        role,
        admin.every_tenant,
        admin.tenants,
        via,
        admin.has_password,
        admin.signed_in_at,
        csrf_token,
    )


OPERATIONS = (
    sign_in,
    get_session,
    sign_out,
    change_own_password,
    make_first_admin,
    list_tokens,
    create_token,
    remove_token,
)
