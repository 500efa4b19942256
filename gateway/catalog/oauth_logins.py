"""Signing in at the authorization servers of servers: people who are on their way, and what they bring back."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace

from gateway.catalog.servers.server import Servers
from gateway.errors import InvalidInputError
from gateway.upstream.credentials.credential import AuthorizationCode
from gateway.upstream.oauth.login import OAuthLogin, begin_login, finish_login

_LOGIN_SECONDS = 600.0
_MAX_PENDING = 1_000


@dataclass(frozen=True, slots=True)
class LoginResult:
    """The server that tokens are there for now."""

    tenant_id: int
    server_id: int
    name: str


@dataclass(frozen=True, slots=True)
class _PendingLogin:
    tenant_id: int
    server_id: int
    login: OAuthLogin
    browser: str
    expires_at: float


class OAuthLogins:
    """Sign-ins of this process, each good for ten minutes and for one answer, from the browser that began it.

    A `browser` is a secret that only that browser has: else somebody could be led to sign in for another.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._pending: dict[str, _PendingLogin] = {}

    async def begin(
        self, tenant_id: int, server_id: int, redirect_uri: str, browser: str, metadata_url: str = ""
    ) -> str:
        """The address at which a person signs in, to come back to `redirect_uri`.

        `metadata_url` is where the gateway's client metadata document is, unless the server's credential names one.
        Raises NotFoundError, InvalidInputError for a server that is not signed in to, UpstreamUnavailableError.
        """
        spec = await self._servers.spec(tenant_id, server_id)
        credential = spec.credential
        if not isinstance(credential, AuthorizationCode) or spec.grants is None:
            raise InvalidInputError(
                f"Server {spec.name} is not set up for signing in; set its credential to OAuth with a sign-in first."
            )
        if not spec.url:
            raise InvalidInputError(f"Set the address of {spec.name} before signing in; its document is not enough.")
        if metadata_url and not credential.metadata_url:
            credential = replace(credential, metadata_url=metadata_url)
        grant = await spec.grants.load()
        registered = None if grant is None else grant.client
        login = await begin_login(spec.name, spec.url, credential, redirect_uri, registered, spec.policy)
        now = time.monotonic()
        self._pending = {state: login for state, login in self._pending.items() if login.expires_at > now}
        if len(self._pending) >= _MAX_PENDING:
            raise InvalidInputError("Too many sign-ins are under way; try again in ten minutes.")
        self._pending[login.state] = _PendingLogin(tenant_id, server_id, login, browser, now + _LOGIN_SECONDS)
        return login.url

    async def finish(self, state: str, code: str, browser: str, issuer: str | None = None) -> LoginResult:
        """Keep the tokens that `code` is worth.

        Raises InvalidInputError for an answer that nobody waits for, or somebody in another browser, and
        UpstreamUnavailableError where the code is not taken.
        """
        pending = self._pending.get(state)
        if pending is None or pending.expires_at < time.monotonic():
            raise InvalidInputError("Nobody waits for this sign-in any more; begin again.")
        if not secrets.compare_digest(pending.browser.encode(), browser.encode()):
            raise InvalidInputError("This sign-in was begun in another browser; begin again in this one.")
        del self._pending[state]
        grant = await finish_login(pending.login, code, state, issuer)
        spec = await self._servers.spec(pending.tenant_id, pending.server_id)
        if spec.grants is None:
            raise InvalidInputError(f"Server {spec.name} is no longer set up for signing in.")
        await spec.grants.replace(grant)
        return LoginResult(pending.tenant_id, pending.server_id, spec.name)

    def cancel(self, state: str, browser: str) -> None:
        """Forget a sign-in from which the person came back without a code."""
        pending = self._pending.get(state)
        if pending is not None and secrets.compare_digest(pending.browser.encode(), browser.encode()):
            del self._pending[state]
