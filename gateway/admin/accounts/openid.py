"""Signing in at an OpenID provider: authorization code with PKCE, and the account that follows from the claims.

OpenID Connect Core 1.0, section 3.1; RFC 7636 (PKCE); RFC 9207 (issuer of an answer); RFC 9700 (best practices).
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import jwt
from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from gateway.access.connections.oauth.sign_in_tokens import SignInTokens
from gateway.access.issuer import ALGORITHMS, TokenIssuer
from gateway.access.persons import Identity
from gateway.admin.accounts.account import Admin
from gateway.admin.accounts.provider_accounts import ProviderAccounts, login_name
from gateway.admin.accounts.secret import generate_secret, hash_secret
from gateway.bounded_http_client import BoundedHttpClient
from gateway.database.pool import Database
from gateway.errors import CredentialError, OpenIdError, SignInUnavailableError
from gateway.settings import AdminSettings

_ATTEMPT_SECONDS = 600.0
_TIMEOUT_SECONDS = 10.0
_LEEWAY_SECONDS = 60
_VERIFIER_LENGTH = 86


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """Where a browser is sent to sign in; `state` is bound to it by a cookie."""

    url: str
    state: str


@dataclass(frozen=True, slots=True)
class OpenIdSignIn:
    """Somebody who came back signed in, and the path that they wanted to go to.

    `admin` is None for one who runs nothing, and may only see what is their own. `tokens` are what the provider gave.
    """

    admin: Admin | None
    identity: Identity
    name: str
    return_to: str
    tokens: SignInTokens = field(repr=False)


class OpenIdClient:
    """A client of one provider, as the settings name it."""

    def __init__(self, database: Database, accounts: ProviderAccounts, settings: AdminSettings) -> None:
        self._database = database
        self._accounts = accounts
        self._settings = settings
        self._issuer = TokenIssuer(settings.openid_issuer)
        self._metadata: Mapping[str, Any] | None = None

    async def begin_sign_in(self, return_to: str, redirect_uri: str) -> AuthorizationRequest:
        """Begin a sign-in; `return_to` is a path of this gateway. Raises OpenIdError."""
        metadata = await self._load_metadata()
        state, nonce, verifier = generate_secret(), generate_secret(), generate_token(_VERIFIER_LENGTH)
        await self._database.execute(
            "insert_openid_attempt", hash_secret(state), nonce, verifier, local_path(return_to), _ATTEMPT_SECONDS
        )
        async with self._client(metadata, redirect_uri) as client:
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier
            )
        return AuthorizationRequest(url, state)

    async def complete_sign_in(
        self, parameters: Mapping[str, str], state: str | None, redirect_uri: str
    ) -> OpenIdSignIn:
        """End a sign-in with what the provider sent the browser back with, and the `state` of its cookie.

        Raises OpenIdError.
        """
        given = parameters.get("state", "")
        if state is None or not hmac.compare_digest(given.encode(), state.encode()):
            raise OpenIdError("expired")
        attempt = await self._database.fetchrow("consume_openid_attempt", hash_secret(given))
        if attempt is None:
            raise OpenIdError("expired")
        if "error" in parameters or not parameters.get("code"):
            raise OpenIdError("refused")
        # RFC 9207: an answer that names its issuer has to name the one that was asked.
        if parameters.get("iss", self._settings.openid_issuer) != self._settings.openid_issuer:
            raise OpenIdError("invalid")
        claims, tokens = await self._redeem(
            parameters["code"], redirect_uri, attempt["code_verifier"], attempt["nonce"]
        )
        admin = await self._accounts.provision(self._settings.openid_issuer, claims)
        if admin is None and not self._accounts.is_person(claims):
            raise OpenIdError("not-allowed")
        identity = Identity(self._settings.openid_issuer, str(claims["sub"]))
        return OpenIdSignIn(admin, identity, login_name(claims), attempt["return_to"], tokens)

    async def _redeem(
        self, code: str, redirect_uri: str, verifier: str, nonce: str
    ) -> tuple[Mapping[str, Any], SignInTokens]:
        """The claims behind a code, and the tokens. Raises OpenIdError."""
        metadata = await self._load_metadata()
        async with self._client(metadata, redirect_uri) as client:
            try:
                tokens = await client.fetch_token(
                    metadata["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=verifier,
                )
            except httpx2.HTTPStatusError as error:
                raise OpenIdError("refused" if error.response.is_client_error else "unavailable") from None
            except AuthlibBaseError:
                raise OpenIdError("refused") from None
            except (httpx2.HTTPError, ValueError, TypeError, RecursionError):
                raise OpenIdError("unavailable") from None
            claims = await self._validate(tokens, nonce)
            if not self._accounts.has_role_claim(claims):
                claims = {**await self._user_info(client, metadata, claims["sub"]), **claims}
        refresh_token = tokens.get("refresh_token")
        kept = refresh_token if isinstance(refresh_token, str) else ""
        return claims, SignInTokens(self._settings.openid_issuer, tokens["id_token"], kept)

    async def _validate(self, tokens: Mapping[str, Any], nonce: str) -> dict[str, Any]:
        """The claims of the ID token. Raises OpenIdError for one that was not made for this sign-in."""
        try:
            token = tokens["id_token"]
            header = jwt.get_unverified_header(token)
            key = await self._issuer.signing_key(header)
            # The signature alone: what the claims have to be is OpenID Connect's to say.
            payload = jwt.PyJWS().decode(token, key, algorithms=list(ALGORITHMS))
            claims = CodeIDToken(
                json.loads(payload),
                header,
                options={
                    "iss": {"essential": True, "value": self._settings.openid_issuer},
                    "aud": {"essential": True, "value": self._settings.openid_client_id},
                    "sub": {"essential": True},
                },
                params={
                    "nonce": nonce,
                    "client_id": self._settings.openid_client_id,
                    "access_token": tokens.get("access_token"),
                },
            )
            claims.validate(leeway=_LEEWAY_SECONDS)
            if not str(claims["sub"]).strip():
                raise ValueError("the token does not say whose it is")
        except SignInUnavailableError:
            raise OpenIdError("unavailable") from None
        except (jwt.PyJWTError, JoseError, CredentialError, LookupError, ValueError, TypeError):
            raise OpenIdError("invalid") from None
        return dict(claims)

    async def _user_info(
        self, client: AsyncOAuth2Client, metadata: Mapping[str, Any], subject: str
    ) -> Mapping[str, Any]:
        """More claims, where the provider does not put them into the ID token."""
        try:
            response = await client.get(metadata["userinfo_endpoint"])
            response.raise_for_status()
            info = response.json()
        except (
            httpx2.HTTPError,
            httpx2.InvalidURL,
            AuthlibBaseError,
            LookupError,
            ValueError,
            TypeError,
            RecursionError,
        ):
            return {}
        return info if isinstance(info, dict) and info.get("sub") == subject else {}

    def _client(self, metadata: Mapping[str, Any], redirect_uri: str) -> AsyncOAuth2Client:
        """To be entered for the requests of one sign-in: it holds the token that they lead to."""
        secret = self._settings.openid_client_secret
        supported = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        method = "client_secret_basic" if "client_secret_basic" in supported else "client_secret_post"
        client = _ProviderClient(
            client_id=self._settings.openid_client_id,
            client_secret=secret or None,
            token_endpoint_auth_method=method if secret else "none",
            scope=self._settings.openid_scopes,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            # An access token is used at once, however short it lasts.
            leeway=0,
            total_seconds=_TIMEOUT_SECONDS,
        )
        client.register_compliance_hook("access_token_response", httpx2.Response.raise_for_status)
        return client

    async def _load_metadata(self) -> Mapping[str, Any]:
        """The provider's discovery document, fetched once. Raises OpenIdError."""
        if self._metadata is None:
            issuer = self._settings.openid_issuer
            try:
                async with BoundedHttpClient(total_seconds=_TIMEOUT_SECONDS) as http:
                    response = await http.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
                    response.raise_for_status()
                    document = response.json()
                needed = [document[name] for name in ("authorization_endpoint", "token_endpoint")]
                if document.get("issuer") != issuer or not all(isinstance(url, str) for url in needed):
                    raise OpenIdError("invalid")
            except (
                httpx2.HTTPError,
                httpx2.InvalidURL,
                ValueError,
                KeyError,
                TypeError,
                AttributeError,
                RecursionError,
            ):
                raise OpenIdError("unavailable") from None
            self._metadata = document
        return self._metadata


class _ProviderClient(BoundedHttpClient, AsyncOAuth2Client):  # type: ignore[misc]
    """An OAuth client whose answers are bounded."""


def local_path(path: str) -> str:
    """`path` where it leads to a page of this gateway, else `/`."""
    inside = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path[:2_000] if inside else "/"
