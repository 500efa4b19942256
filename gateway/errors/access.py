"""Who is not let in, and what they may not do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from gateway.errors.root import ModelGateError


class AccessError(ModelGateError, code="access"):
    """The caller may not do this."""


class CredentialError(AccessError, code="credential"):
    """The request carries no API key that is in force."""


class RoleMissingError(AccessError, code="role-missing"):
    """The sign-in is valid, but no role goes with it."""


class LimitError(AccessError, code="limit"):
    """A limit of the API key is reached; `limit` is its name, `retry_after` the seconds (1 or more) it still holds."""

    def __init__(self, message: str, limit: str, retry_after: int) -> None:
        super().__init__(message)
        self.limit = limit
        self.retry_after = retry_after


class SignInRequiredError(AccessError, code="sign-in-required"):
    """Sign in first."""


class ForbiddenError(AccessError, code="forbidden"):
    """This account may not do that."""


class ApprovalOwnError(ForbiddenError, code="approval-own"):
    """Whoever asks for approval of a call does not decide about it; `approval_id` names it."""

    def __init__(self, approval_id: str, name: str) -> None:
        super().__init__(
            f"{name} asked for approval {approval_id}; somebody else has to decide, or approval.allow_self be set."
        )
        self.approval_id = approval_id


class LockedOutError(AccessError, code="locked-out"):
    """Too many attempts to sign in have failed; `retry_after` is the seconds (1 or more) to wait."""

    def __init__(self, retry_after: int) -> None:
        wait = f"{retry_after} seconds" if retry_after < 120 else f"{math.ceil(retry_after / 60)} minutes"
        super().__init__(f"Too many attempts to sign in have failed; try again in {wait}.")
        self.retry_after = retry_after


class OpenIdError(AccessError, code="openid"):
    """A sign-in at the OpenID provider has failed; `code` says why, and `MESSAGES` has each code in words."""

    MESSAGES: ClassVar[Mapping[str, str]] = {
        "unavailable": "The sign-in provider does not answer; try again in a moment.",
        "refused": "The sign-in provider has not signed you in; try again.",
        "expired": "This sign-in took too long or was begun in another window; begin again.",
        "invalid": "What the sign-in provider answered cannot be trusted; ask whoever runs the gateway.",
        "not-allowed": "You are signed in at the provider, but no role of this gateway goes with your groups.",
    }

    def __init__(self, code: str) -> None:
        super().__init__(self.MESSAGES[code])
        self.code = code


class SignInUnavailableError(ModelGateError, code="sign-in-unavailable"):
    """The OpenID provider does not answer; try again in a moment."""
