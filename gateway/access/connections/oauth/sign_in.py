"""One grant a person: they sign in at the server's authorization server, and the gateway renews what that gave."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from gateway.access.connections.connections import Connection, Connections, LockedConnection
from gateway.access.connections.oauth.claims import subject_name
from gateway.access.connections.oauth.refusals import ENDED
from gateway.access.connections.oauth.registrations import OAuthRegistrations
from gateway.access.connections.oauth.server_tokens import bearer_headers
from gateway.access.connections.oauth.sign_ins import PendingSignIns
from gateway.access.connections.oauth.token_requests import TokenRequests
from gateway.access.connections.source import FinishedSignIn, PersonAtServer
from gateway.access.persons import Identity, Persons
from gateway.errors import (
    ConnectionNeededError,
    GrantRefusedError,
    InvalidInputError,
    NotFoundError,
    UpstreamError,
    UpstreamUnavailableError,
)
from gateway.upstream.credentials.delegation import PersonalOAuth
from gateway.upstream.credentials.oauth_grant import OAuthGrant
from gateway.upstream.credentials.personal import PersonCredential
from gateway.upstream.oauth.authorization_servers import AuthorizationServers
from gateway.upstream.oauth.login import OAuthLogin, begin_login, redeem_code
from gateway.upstream.oauth.token_endpoint import check_revoked
from gateway.upstream.oauth.token_response import grant_from_token, missing_scopes, parse_token_response

logger = logging.getLogger(__name__)

# From then on the next call has the token renewed beside it, and waits for nothing.
_RENEW_AHEAD_SECONDS = 60.0
_UNKNOWN_CLIENT = ("invalid_client", "unauthorized_client")


@dataclass(frozen=True, slots=True)
class _PersonGrant:
    """What a connection holds: the grant, for which address it was given, and where it is given back."""

    grant: OAuthGrant = field(repr=False)
    server_url: str
    revocation_endpoint: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "grant": self.grant.to_dict(),
            "server_url": self.server_url,
            "revocation_endpoint": self.revocation_endpoint,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> _PersonGrant:
        return cls(OAuthGrant.from_dict(values["grant"]), values["server_url"], values["revocation_endpoint"])


class SignInTokenSource:
    """Keeps the tokens of persons who have signed in at the authorization server of a server."""

    def __init__(
        self,
        persons: Persons,
        connections: Connections,
        sign_ins: PendingSignIns,
        registrations: OAuthRegistrations,
        servers: AuthorizationServers,
        requests: TokenRequests,
    ) -> None:
        self._persons = persons
        self._connections = connections
        self._sign_ins = sign_ins
        self._registrations = registrations
        self._servers = servers
        self._requests = requests

    async def get(self, at: PersonAtServer) -> PersonCredential:
        connection, stored = await self._stored(at)
        grant = stored.grant
        if not grant.is_fresh:
            connection, grant = await self._renew(at, connection, grant)
        elif grant.refresh_token is not None and grant.ends_within(_RENEW_AHEAD_SECONDS):
            self._requests.run_beside(
                at.spec.name, at.connection_key, connection.id, lambda: self._renew_locked(at, connection, grant)
            )
        self._connections.touch(connection)
        return _credential(at, connection, grant)

    async def renew(self, at: PersonAtServer, refused: PersonCredential) -> PersonCredential | None:
        connection, stored = await self._stored(at)
        if _credential(at, connection, stored.grant).headers == refused.headers or not stored.grant.is_fresh:
            return _credential(at, *await self._renew(at, connection, stored.grant))
        return _credential(at, connection, stored.grant)

    async def revoke(self, at: PersonAtServer) -> None:
        connection = await self._connections.get(*at.connection_key)
        if connection is None or connection.kind != "oauth":
            return
        with suppress(NotFoundError):
            # A renewal that is under way would bring a token that nobody takes back.
            async with self._connections.lock(connection) as locked:
                now = await locked.load()
                if now is not None:
                    await self._give_back(at, _PersonGrant.from_dict(now.secret))

    async def begin(self, at: PersonAtServer, redirect_uri: str, browser: str, metadata_url: str, link: str) -> str:
        spec, kind = at.spec, at.spec.personal
        if not isinstance(kind, PersonalOAuth) or not spec.url:
            raise InvalidInputError(
                f"Nobody can sign in at {spec.name}: it is set up otherwise, or its address is not set."
            )
        credential = kind.sign_in
        if metadata_url and not credential.metadata_url:
            credential = replace(credential, metadata_url=metadata_url)
        registered = await self._registrations.get(spec.tenant_id, spec.id)
        login = await begin_login(spec.name, spec.url, credential, redirect_uri, registered, spec.policy)
        if login.client.client_id not in (credential.client_id, credential.metadata_url) and login.client != registered:
            await self._registrations.save(spec.tenant_id, spec.id, login.client)
        await self._sign_ins.add(at.person, spec.id, login, browser, link)
        return login.url

    async def finish(
        self, state: str, code: str, browser: str, issuer: str | None, signed_in: Identity | None = None
    ) -> FinishedSignIn | None:
        pending = await self._sign_ins.claim(state, browser, signed_in)
        if pending is None:
            return None
        login = pending.login
        try:
            issued = await redeem_code(login, code, state, issuer)
        except GrantRefusedError as error:
            if error.reason in _UNKNOWN_CLIENT:
                await self._registrations.forget(pending.tenant_id, pending.server_id)
            raise
        grant = grant_from_token(login.client, issued, login.scope)
        person = await self._persons.get(pending.tenant_id, pending.person_id)
        await self._connections.connect(
            person,
            pending.server_id,
            "oauth",
            _PersonGrant(grant, login.server_url, _revocation_endpoint(login)).to_dict(),
            subject=subject_name(issued.id_token),
            scopes=grant.scope,
            expires_at=_end(grant),
        )
        return FinishedSignIn(
            pending.tenant_id,
            pending.person_id,
            pending.server_id,
            pending.link,
            missing_scopes=missing_scopes(login.scope, issued.scope),
        )

    async def _give_back(self, at: PersonAtServer, stored: _PersonGrant) -> None:
        if not stored.revocation_endpoint:
            return
        client = replace(stored.grant.client, token_endpoint=stored.revocation_endpoint, resource="")
        # The refresh token first: with it most servers revoke the access token, too (RFC 7009, section 2.1).
        tokens = {"refresh_token": stored.grant.refresh_token, "access_token": stored.grant.access_token}
        for kind, token in tokens.items():
            if token is None:
                continue
            try:
                async with self._servers.connect(at.spec.name, stored.server_url, at.spec.policy) as http:
                    response = await http.send(client.token_request({"token": token, "token_type_hint": kind}))
                check_revoked(at.spec.name, response)
            except UpstreamError as error:
                logger.warning("A token of a person was not revoked: %s", error.message)

    async def _stored(self, at: PersonAtServer) -> tuple[Connection, _PersonGrant]:
        """What the person has granted. Raises ConnectionNeededError."""
        connection = await self._connections.get(*at.connection_key)
        if connection is None or connection.kind != "oauth":
            raise ConnectionNeededError(at.spec.name, at.spec.id)
        stored = _PersonGrant.from_dict(connection.secret)
        if stored.server_url != at.spec.url:
            # A token is for the address that it was asked for, whoever has changed that since.
            raise ConnectionNeededError(
                at.spec.name, at.spec.id, f"The address of {at.spec.name} is another than the one you connected"
            )
        return connection, stored

    async def _renew(
        self, at: PersonAtServer, connection: Connection, stale: OAuthGrant
    ) -> tuple[Connection, OAuthGrant]:
        return await self._requests.run(
            at.spec.name, at.connection_key, connection.id, lambda: self._renew_locked(at, connection, stale)
        )

    async def _renew_locked(
        self, at: PersonAtServer, connection: Connection, stale: OAuthGrant
    ) -> tuple[Connection, OAuthGrant]:
        """A grant other than `stale`, which is over or was refused, with the connection that holds it."""
        try:
            async with self._connections.lock(connection) as locked:
                now = await locked.load()
                if now is None:
                    raise NotFoundError()
                stored = _PersonGrant.from_dict(now.secret)
                if stored.grant.access_token != stale.access_token and stored.grant.is_fresh:
                    return now, stored.grant
                return now, await self._refresh(at, locked, stored)
        except NotFoundError:
            raise ConnectionNeededError(
                at.spec.name, at.spec.id, f"What you had connected at {at.spec.name} was withdrawn just now"
            ) from None

    async def _refresh(self, at: PersonAtServer, locked: LockedConnection, stored: _PersonGrant) -> OAuthGrant:
        name, grant = at.spec.name, stored.grant
        if grant.refresh_token is None:
            raise ConnectionNeededError(name, at.spec.id, f"What you granted the gateway at {name} has ended")
        form = {"grant_type": "refresh_token", "refresh_token": grant.refresh_token}
        async with self._servers.connect(name, stored.server_url, at.spec.policy) as http:
            response = await http.send(grant.client.token_request(form))
        try:
            renewed = parse_token_response(name, grant.client, response, grant.scope, grant)
        except GrantRefusedError as error:
            if error.reason in ENDED:
                await locked.remove()
                raise ConnectionNeededError(
                    name, at.spec.id, f"What you granted the gateway at {name} was taken back there, or has ended"
                ) from None
            if error.reason in _UNKNOWN_CLIENT:
                await self._registrations.forget(at.spec.tenant_id, at.spec.id)
            raise
        if not await locked.save(
            replace(stored, grant=renewed).to_dict(), scopes=renewed.scope, expires_at=_end(renewed)
        ):
            if await self._connections.load(at.connection_key) is None:
                # It was disconnected meanwhile, and this token is nobody's to keep.
                await self._give_back(at, replace(stored, grant=renewed))
                raise NotFoundError()
            raise UpstreamUnavailableError(
                name, f"You connected {name} anew while your token there was renewed; repeat the call."
            )
        return renewed


def _credential(at: PersonAtServer, connection: Connection, grant: OAuthGrant) -> PersonCredential:
    return PersonCredential(at.session(str(connection.id)), bearer_headers(grant.access_token))


def _end(grant: OAuthGrant) -> datetime | None:
    """When the person has to sign in again, as far as that is known."""
    if grant.refresh_token is not None or grant.expires_at is None:
        return None
    return datetime.fromtimestamp(grant.expires_at, timezone.utc)


def _revocation_endpoint(login: OAuthLogin) -> str:
    return login.metadata.endpoint("revocation_endpoint")
