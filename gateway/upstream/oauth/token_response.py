"""What an authorization server answers to a request for a token."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import httpx2
from mcp.shared.auth import OAuthToken
from pydantic import ValidationError

from gateway.errors import GrantRefusedError
from gateway.upstream.credentials.oauth_grant import OAuthClient, OAuthGrant

# No token lasts that long; a number without end would not be a time.
_LONGEST_SECONDS = 10 * 365 * 86_400
# Every header of a request has to fit into what common servers read, 16 KiB or less.
_LONGEST_TOKEN = 16 * 1024


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token as it was issued; `expires_at` in seconds since 1970, None where the authorization server did not say.

    `kind` is the URN of `issued_token_type` (RFC 8693), empty where it was not said; `scope` is empty for what was
    asked for.
    """

    token: str = field(repr=False)
    expires_at: float | None = None
    scope: str = ""
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    kind: str = ""


class _TokenResponse(OAuthToken):
    # RFC 8693, section 2.2.1: N_A where what was issued is no access token.
    token_type: str = "Bearer"  # type: ignore[assignment]  # noqa: S105 - the name of a type
    issued_token_type: str | None = None
    id_token: str | None = None


def read_token_response(server: str, response: httpx2.Response, *, bearer: bool = True) -> IssuedToken:
    """The token that a response holds, which has to be one that is sent as `Bearer` unless `bearer` is False.

    Raises GrantRefusedError with the authorization server's own error code.
    """
    if response.status_code not in (200, 201):
        reason = _error_code(response)
        said = reason or f"HTTP {response.status_code}"
        temporary = response.status_code >= 500 or response.status_code == 429
        raise GrantRefusedError(
            server,
            f"The authorization server of {server} gives no token ({said}); "
            f"{'try again in a moment' if temporary else 'check the credentials'}.",
            reason,
            temporary=temporary,
        )
    try:
        token = _TokenResponse.model_validate_json(response.content)
    except ValidationError:
        token = None
    if token is None or (bearer and token.token_type.lower() != "bearer"):
        raise GrantRefusedError(
            server, f"The authorization server of {server} answered with something that is no token; check its address."
        )
    if not _is_sendable(token.access_token):
        raise GrantRefusedError(
            server,
            f"The authorization server of {server} gave a token that cannot be sent: it is empty, longer than "
            f"{_LONGEST_TOKEN:,} characters, or holds one that no header may; ask who runs it.",
        )
    return IssuedToken(
        token=token.access_token,
        expires_at=None if token.expires_in is None else time.time() + min(token.expires_in, _LONGEST_SECONDS),
        scope=token.scope or "",
        refresh_token=token.refresh_token,
        id_token=token.id_token,
        kind=token.issued_token_type or "",
    )


def parse_token_response(
    server: str, client: OAuthClient, response: httpx2.Response, scope: str, previous: OAuthGrant | None = None
) -> OAuthGrant:
    """The grant that a token response says. What it leaves out is as it was in `previous` or as it was asked for.

    Raises GrantRefusedError with the authorization server's own error code.
    """
    return grant_from_token(client, read_token_response(server, response), scope, previous)


def grant_from_token(
    client: OAuthClient, issued: IssuedToken, scope: str, previous: OAuthGrant | None = None
) -> OAuthGrant:
    """The grant that a token is part of. What it leaves out is as it was in `previous` or as it was asked for."""
    return OAuthGrant(
        client=client,
        access_token=issued.token,
        refresh_token=issued.refresh_token or (previous.refresh_token if previous is not None else None),
        expires_at=issued.expires_at,
        scope=issued.scope or scope,
    )


def missing_scopes(asked: str, granted: str) -> tuple[str, ...]:
    """The scopes that were asked for and not granted; none where the answer names none (RFC 6749, section 5.1)."""
    given = granted.split()
    return tuple(scope for scope in asked.split() if given and scope not in given)


def _error_code(response: httpx2.Response) -> str:
    """The OAuth error code of a refusal; nothing else of it, for it may repeat what was sent."""
    try:
        code = response.json().get("error")
    except (ValueError, AttributeError, RecursionError):
        code = None
    plain = isinstance(code, str) and code.replace("_", "").isalnum() and len(code) <= 64
    return str(code) if plain else ""


def _is_sendable(token: str) -> bool:
    return 0 < len(token) <= _LONGEST_TOKEN and token.isascii() and token.isprintable() and " " not in token
