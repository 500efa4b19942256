"""Signing in and out, the first admin, one's own password and tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field
from starlette.responses import Response

from gateway.admin.accounts.account import Admin, AdminRole
from gateway.admin.accounts.authenticator import AdminSession
from gateway.admin.accounts.secret import csrf_token
from gateway.admin.accounts.token import ApiToken, NewApiToken
from gateway.admin.reading import STRICT
from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.rest.router import json_response
from gateway.admin.services.access.admins import TokenInput

_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Password = Annotated[str, Field(min_length=1, max_length=1_000)]


@dataclass(frozen=True, slots=True)
class SignIn:
    """A name and its password."""

    name: _Name
    password: _Password = field(repr=False)

    __pydantic_config__ = STRICT


@dataclass(frozen=True, slots=True)
class FirstAdmin:
    """The token of the link that the gateway printed, and the account to be made."""

    token: Annotated[str, Field(min_length=1, max_length=200)] = field(repr=False)
    name: _Name
    password: _Password = field(repr=False)

    __pydantic_config__ = STRICT


@dataclass(frozen=True, slots=True)
class PasswordChange:
    """One's present password, and the one to have from now on."""

    current_password: _Password = field(repr=False)
    new_password: _Password = field(repr=False)

    __pydantic_config__ = STRICT


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


@operation("POST", "/session", open=True, returns=SessionView)
async def sign_in(visit: RestContext, body: SignIn) -> Response:
    """Sign in with a password.

    The session comes in a cookie. After repeated failures a name, or an address, has to wait: 429 with Retry-After.
    """
    return _let_in(visit, await visit.actions.entrance.sign_in(body.name, body.password, visit.address))


@operation("GET", "/session", own=True)
async def get_session(visit: RestContext) -> SessionView:
    """Tell who is signed in."""
    principal = visit.principal
    return _view(principal.admin, principal.role, principal.via, principal.csrf_token)


@operation("DELETE", "/session", own=True)
async def sign_out(visit: RestContext) -> Response:
    """Sign out."""
    await visit.actions.entrance.sign_out(visit.principal)
    response = Response(status_code=204)
    visit.guard.take_session(visit.request, response)
    return response


@operation("POST", "/session/password", own=True)
async def change_own_password(visit: RestContext, body: PasswordChange) -> None:
    """Change one's own password; one's other sessions end."""
    await visit.actions.entrance.change_password(
        visit.principal, body.current_password, body.new_password, visit.address
    )


@operation("POST", "/setup", open=True, returns=SessionView)
async def make_first_admin(visit: RestContext, body: FirstAdmin) -> Response:
    """Make the first admin, with the token of the link that the gateway printed, and sign them in."""
    return _let_in(
        visit, await visit.actions.entrance.complete_setup(body.token, body.name, body.password, visit.address)
    )


@operation("GET", "/tokens", own=True)
async def list_tokens(visit: RestContext) -> tuple[ApiToken, ...]:
    """List one's own API tokens."""
    return await visit.actions.admins.tokens(visit.principal)


@operation("POST", "/tokens", own=True, status=201)
async def create_token(visit: RestContext, body: TokenInput) -> NewApiToken:
    """Make an API token; it is shown this once."""
    return await visit.actions.admins.create_token(visit.principal, body)


@operation("DELETE", "/tokens/{token_id}", own=True)
async def remove_token(visit: RestContext, token_id: int) -> None:
    """End one of one's own API tokens at once."""
    await visit.actions.admins.remove_token(visit.principal, token_id)


def _let_in(visit: RestContext, signed_in: AdminSession) -> Response:
    view = _view(signed_in.admin, signed_in.admin.role, "session", csrf_token(signed_in.session))
    response = json_response(SessionView, view)
    visit.guard.give_session(visit.request, response, signed_in)
    return response


def _view(admin: Admin, role: AdminRole, via: Literal["session", "token"], csrf: str | None) -> SessionView:
    return SessionView(
        admin.id,
        admin.name,
        role,
        admin.every_tenant,
        admin.tenants,
        via,
        admin.has_password,
        admin.signed_in_at,
        csrf,
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
