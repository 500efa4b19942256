"""Tokens of servers for whose users the company's provider vouches (MCP's enterprise-managed authorization)."""

from __future__ import annotations

import time
from dataclasses import replace

from gateway.access.connections.connections import Connection, Connections
from gateway.access.connections.oauth.claims import expires_at
from gateway.access.connections.oauth.refusals import ENDED, exchange_refusal, needs_sign_in
from gateway.access.connections.oauth.server_tokens import ServerTokens, bearer_headers
from gateway.access.connections.oauth.sign_in_tokens import SignInTokens, StoredSignInTokens
from gateway.access.connections.source import PersonAtServer
from gateway.errors import ConnectionNeededError, GrantRefusedError, UpstreamUnavailableError
from gateway.upstream.credentials.delegation import PersonalIdJag
from gateway.upstream.credentials.personal import PersonCredential
from gateway.upstream.credentials.token_client import TokenClient
from gateway.upstream.oauth.authorization_servers import AuthorizationServers
from gateway.upstream.oauth.id_jag import redeem_id_jag, request_id_jag
from gateway.upstream.oauth.token_response import IssuedToken
from gateway.upstream.policy import DEFAULT_POLICY

# An ID token that is about to end would end on its way.
_MARGIN_SECONDS = 30.0
_PURPOSE = "id_jag"


class IdJagSource:
    """Has `provider` vouch for persons, by what it gave when they signed in to the gateway.

    What servers' authorization servers give for that stays in memory: it can be had again at any time.
    """

    def __init__(
        self,
        provider: str,
        client: TokenClient,
        connections: Connections,
        sign_ins: StoredSignInTokens,
        servers: AuthorizationServers,
        tokens: ServerTokens,
    ) -> None:
        """`provider` is the issuer that people sign in to the gateway at, as `client`; empty where there is none."""
        self._provider = provider
        self._client = client
        self._connections = connections
        self._sign_ins = sign_ins
        self._servers = servers
        self._tokens = tokens

    async def get(self, at: PersonAtServer) -> PersonCredential:
        kind, connection = self._kind(at), await self._connection(at)
        try:
            issued = await self._tokens.get(at, _PURPOSE, kind, lambda: self._redeem(at, kind))
        except ConnectionNeededError:
            # What the person connected by is over: whoever looks sees that, and hears when they have signed in anew.
            await self._connections.end(connection)
            raise
        self._connections.touch(connection)
        return PersonCredential(at.session(str(connection.id)), bearer_headers(issued.token))

    async def renew(self, at: PersonAtServer, refused: PersonCredential) -> PersonCredential | None:
        self._tokens.refuse(at, _PURPOSE, self._kind(at), refused)
        return await self.get(at)

    async def revoke(self, at: PersonAtServer) -> None:
        kind = self._kind(at)
        await self._tokens.revoke(at, kind.issuer, kind.client, at.spec.policy)

    def _kind(self, at: PersonAtServer) -> PersonalIdJag:
        kind = at.spec.personal
        if not isinstance(kind, PersonalIdJag) or not self._provider:
            raise UpstreamUnavailableError(
                at.spec.name,
                f"Server {at.spec.name} takes persons for whom your company's provider vouches, and nobody signs in to "
                "the gateway at one; an administrator sets admin.openid_issuer.",
            )
        return kind

    async def _connection(self, at: PersonAtServer) -> Connection:
        """That the person has signed in, and nobody has withdrawn it since. Raises ConnectionNeededError."""
        if at.person.issuer != self._provider:
            raise ConnectionNeededError(
                at.spec.name,
                at.spec.id,
                f"Your company's provider has to vouch for you at {at.spec.name}, and you did not sign in there",
                next_step="use a key that has you as its owner, and accept it on the page My connections",
            )
        connection = await self._connections.get(*at.connection_key)
        if connection is None or connection.kind != "id_jag":
            raise _sign_in_needed(at)
        return connection

    async def _redeem(self, at: PersonAtServer, kind: PersonalIdJag) -> IssuedToken:
        name = at.spec.name
        try:
            subject_token = await self._subject_token(at, kind)
            client = kind.provider_client or self._client
            # The provider of all is the operator's to name: no guard of tenants' servers holds for it.
            async with self._servers.open(name, self._provider, client, DEFAULT_POLICY) as provider:
                id_jag = await request_id_jag(name, provider, kind, subject_token, kind.subject)
        except GrantRefusedError as error:
            if needs_sign_in(error):
                raise _sign_in_needed(at) from None
            raise exchange_refusal(error) from None
        async with self._servers.open(name, kind.issuer, kind.client, at.spec.policy) as authorization_server:
            try:
                return await redeem_id_jag(authorization_server, kind, id_jag)
            except GrantRefusedError as error:
                raise exchange_refusal(error) from None

    async def _subject_token(self, at: PersonAtServer, kind: PersonalIdJag) -> str:
        """What the provider is shown of the person's sign-in. Raises ConnectionNeededError where there is nothing."""
        tokens = await self._sign_ins.get(*at.connection_key[:2])
        if tokens is None or tokens.issuer != self._provider:
            raise _sign_in_needed(at)
        if kind.subject == "refresh_token":
            if not tokens.refresh_token:
                raise _sign_in_needed(at)
            return tokens.refresh_token
        if _is_fresh(tokens.id_token):
            return tokens.id_token
        return await self._renew_sign_in(at, tokens)

    async def _renew_sign_in(self, at: PersonAtServer, stale: SignInTokens) -> str:
        """An ID token in force, by the refresh token of the sign-in, in one process at a time."""
        tenant_id, person_id, _ = at.connection_key
        async with self._sign_ins.lock(tenant_id, person_id) as holder:
            tokens = await self._sign_ins.get(tenant_id, person_id)
            if holder is None or tokens is None:
                raise _sign_in_needed(at)
            if tokens != stale and _is_fresh(tokens.id_token):
                return tokens.id_token
            if not tokens.refresh_token:
                raise _sign_in_needed(at)
            async with self._servers.open(at.spec.name, self._provider, self._client, DEFAULT_POLICY) as provider:
                try:
                    issued = await provider.request(
                        {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
                    )
                except GrantRefusedError as error:
                    if error.reason in ENDED:
                        await self._sign_ins.forget(tenant_id, person_id)
                    raise
            renewed = replace(
                tokens,
                id_token=issued.id_token or "",
                refresh_token=issued.refresh_token or tokens.refresh_token,
            )
            await self._sign_ins.save(tenant_id, person_id, holder, renewed)
        if not renewed.id_token:
            raise _sign_in_needed(at)
        return renewed.id_token


def _is_fresh(id_token: str) -> bool:
    end = expires_at(id_token)
    return end is not None and time.time() < end - _MARGIN_SECONDS


def _sign_in_needed(at: PersonAtServer) -> ConnectionNeededError:
    return ConnectionNeededError(
        at.spec.name,
        at.spec.id,
        f"Your company's provider has to vouch for you at {at.spec.name}, for which you sign in to the gateway anew",
    )
