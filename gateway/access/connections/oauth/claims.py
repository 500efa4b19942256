"""What tokens say of themselves. None of it is believed: it came from who was trusted for it, or only tells apart."""

from __future__ import annotations

import hashlib
from typing import Any

import jwt

_NAMES = ("preferred_username", "email", "name", "sub")


def read_claims(token: str | None) -> dict[str, Any]:
    """The claims of a JWT, whose signature is not looked at; empty for what is none."""
    try:
        return dict(jwt.decode(token or "", options={"verify_signature": False}))
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return {}


def subject_name(id_token: str | None) -> str:
    """As whom an ID token names a person; empty where it does not."""
    claims = read_claims(id_token)
    return next((claims[name] for name in _NAMES if isinstance(claims.get(name), str) and claims[name].strip()), "")


def expires_at(token: str) -> float | None:
    """When a JWT ends, in seconds since 1970; None where it does not say."""
    end = read_claims(token).get("exp")
    return float(end) if isinstance(end, (int, float)) and not isinstance(end, bool) else None


def rights_digest(token: str) -> str:
    """What tells tokens of one person apart that may do different things: the client that they are for, and scopes.

    The next token of the same client has the same digest, and so goes on in the same upstream session.
    """
    claims = read_claims(token)
    told_apart = {name: claims[name] for name in ("azp", "client_id", "appid", "aud", "scope", "scp") if name in claims}
    return hashlib.sha256((repr(sorted(told_apart.items())) if told_apart else token).encode()).hexdigest()[:32]
