"""What an authorization server answers to a request for a token."""

from __future__ import annotations

import time

import httpx2
from mcp.shared.auth import OAuthToken
from pydantic import ValidationError

from gateway.errors import GrantRefusedError
from gateway.upstream.oauth_grant import OAuthClient, OAuthGrant

# No token lasts that long; a number without end would not be a time.
_LONGEST_SECONDS = 10 * 365 * 86_400


def parse_token_response(
    server: str, client: OAuthClient, response: httpx2.Response, scope: str, previous: OAuthGrant | None = None
) -> OAuthGrant:
    """The grant that a token response says. What it leaves out is as it was in `previous` or as it was asked for.

    Raises GrantRefusedError with the authorization server's own error code.
    """
    if response.status_code not in (200, 201):
        raise GrantRefusedError(
            server,
            f"The authorization server of {server} gives no token ({_reason(response)}); check the credentials.",
        )
    try:
        token = OAuthToken.model_validate_json(response.content)
    except ValidationError:
        raise GrantRefusedError(
            server, f"The authorization server of {server} answered with something that is no token; check its address."
        ) from None
    return OAuthGrant(
        client=client,
        access_token=token.access_token,
        refresh_token=token.refresh_token or (previous.refresh_token if previous is not None else None),
        expires_at=None if token.expires_in is None else time.time() + min(token.expires_in, _LONGEST_SECONDS),
        scope=token.scope or scope,
    )


def _reason(response: httpx2.Response) -> str:
    """The OAuth error code of a refusal; nothing else of it, for it may repeat what was sent."""
    try:
        code = response.json().get("error")
    except (ValueError, AttributeError, RecursionError):
        code = None
    plain = isinstance(code, str) and code.replace("_", "").isalnum() and len(code) <= 64
    return str(code) if plain else f"HTTP {response.status_code}"
