"""What an authorization server granted the gateway for one server, and where it is kept."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

import httpx2
from mcp.shared.auth import OAuthToken
from pydantic import ValidationError

from gateway.errors import GrantRefusedError

# A token that is about to end would end on its way.
_MARGIN_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """The gateway as one authorization server knows it.

    `method` is how the secret is shown: client_secret_basic, client_secret_post or none. `resource` is the server that
    tokens are for (RFC 8707), `redirect_uri` where a person comes back to after signing in.
    """

    issuer: str
    token_endpoint: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    method: str = "none"
    resource: str = ""
    redirect_uri: str = ""

    def request(self, form: Mapping[str, str]) -> httpx2.Request:
        """A request for a token (RFC 6749, section 2.3.1 and 4)."""
        data = {**form, "client_id": self.client_id}
        if self.resource:
            data["resource"] = self.resource
        headers = {"Accept": "application/json"}
        if self.method == "client_secret_basic":
            pair = f"{quote(self.client_id, safe='')}:{quote(self.client_secret, safe='')}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
            del data["client_id"]
        elif self.client_secret:
            data["client_secret"] = self.client_secret
        return httpx2.Request("POST", self.token_endpoint, data=data, headers=headers)


@dataclass(frozen=True, slots=True)
class OAuthGrant:
    """Tokens in force; `expires_at` in seconds since 1970, None where the authorization server did not say."""

    client: OAuthClient
    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    scope: str = ""

    @property
    def fresh(self) -> bool:
        """Whether the access token is still good, as far as its end is known."""
        return self.expires_at is None or time.time() < self.expires_at - _MARGIN_SECONDS

    def packed(self) -> dict[str, Any]:
        """The grant as plain values, to be sealed."""
        return asdict(self)

    @classmethod
    def unpacked(cls, values: Mapping[str, Any]) -> OAuthGrant:
        """What `packed` made."""
        return cls(**{**values, "client": OAuthClient(**values["client"])})


class HeldGrant(Protocol):
    """The grant of one server while nobody else may change it."""

    async def load(self) -> OAuthGrant | None:
        """The grant, None where nobody has signed in."""
        ...

    async def save(self, grant: OAuthGrant) -> None:
        """Replace the grant."""
        ...


class GrantStore(Protocol):
    """Keeps the grant of one server. Equal stores keep the same grant."""

    async def load(self) -> OAuthGrant | None:
        """The grant, None where nobody has signed in."""
        ...

    def held(self) -> AbstractAsyncContextManager[HeldGrant]:
        """Held by at most one at a time, in whatever process: a refresh token may be used only once."""
        ...


def granted(
    server: str, client: OAuthClient, response: httpx2.Response, scope: str, before: OAuthGrant | None = None
) -> OAuthGrant:
    """The grant that a token response says. What it leaves out is as it was `before` or as it was asked for.

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
        refresh_token=token.refresh_token or (before.refresh_token if before is not None else None),
        expires_at=None if token.expires_in is None else time.time() + token.expires_in,
        scope=token.scope or scope,
    )


def _reason(response: httpx2.Response) -> str:
    """The OAuth error code of a refusal; nothing else of it, for it may repeat what was sent."""
    try:
        code = response.json().get("error")
    except (ValueError, AttributeError):
        code = None
    plain = isinstance(code, str) and code.replace("_", "").isalnum() and len(code) <= 64
    return str(code) if plain else f"HTTP {response.status_code}"
