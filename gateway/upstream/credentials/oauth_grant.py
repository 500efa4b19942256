"""What an authorization server granted the gateway for one server, and where it is kept."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

import httpx2

# A token that is about to end would end on its way.
_MARGIN_SECONDS = 15.0

LOCK_SECONDS = 60.0
"""How long a lock of a grant holds, unless it is given back before."""


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

    def token_request(self, form: Mapping[str, str]) -> httpx2.Request:
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
    def is_fresh(self) -> bool:
        """Whether the access token is still good, as far as its end is known."""
        return self.expires_at is None or time.time() < self.expires_at - _MARGIN_SECONDS

    def ends_within(self, seconds: float) -> bool:
        """Whether the access token will be over in so many seconds, as far as its end is known."""
        return self.expires_at is not None and time.time() + seconds >= self.expires_at

    def to_dict(self) -> dict[str, Any]:
        """The grant as plain values, to be sealed."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> OAuthGrant:
        """What `to_dict` made."""
        return cls(**{**values, "client": OAuthClient(**values["client"])})


class LockedGrant(Protocol):
    """The grant of one server while nobody else renews it."""

    async def load(self) -> OAuthGrant | None:
        """The grant, None where nobody has signed in."""
        ...

    async def save(self, grant: OAuthGrant) -> bool:
        """Replace the grant; False where it is another's by now, of a new sign-in or another address."""
        ...


class GrantStore(Protocol):
    """Keeps the grant of one server. Equal stores keep the same grant."""

    async def load(self) -> OAuthGrant | None:
        """The grant, None where nobody has signed in."""
        ...

    async def replace(self, grant: OAuthGrant) -> None:
        """Keep the grant of a new sign-in, whoever renews the one before."""
        ...

    def spawn(self, renewal: Coroutine[Any, Any, OAuthGrant]) -> asyncio.Task[OAuthGrant]:
        """Run a renewal beside everything else; it may outlive all who wait for it."""
        ...

    def lock(self) -> AbstractAsyncContextManager[LockedGrant]:
        """Lock the grant against all others, in whatever process: a refresh token may be used only once.

        The lock holds for `LOCK_SECONDS`; whoever has it has to be done by then.
        """
        ...
