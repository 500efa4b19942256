"""What the refusal of an authorization server means for the person who calls."""

from __future__ import annotations

from gateway.errors import GrantRefusedError

ENDED = ("invalid_grant",)
"""What was granted is worth nothing any more (RFC 6749, section 5.2)."""

_SIGN_IN = (*ENDED, "interaction_required", "login_required", "consent_required", "insufficient_user_authentication")
_NOT_ALLOWED = ("access_denied", "invalid_target", "invalid_scope", "unauthorized_client")


def needs_sign_in(error: GrantRefusedError) -> bool:
    """Whether the person can help it by signing in anew."""
    return error.reason in _SIGN_IN


def exchange_refusal(error: GrantRefusedError) -> GrantRefusedError:
    """The refusal of an exchange, in words for the person whose token it was."""
    if needs_sign_in(error):
        after = "sign in anew in your client, there with whatever the provider asks for"
    elif error.reason in _NOT_ALLOWED:
        after = f"ask an administrator whether you may use {error.server}"
    else:
        return error
    return GrantRefusedError(
        error.server,
        f"Your provider gives the gateway no token of yours for {error.server} ({error.reason}); {after}.",
        error.reason,
    )
