"""Signing in at an OpenID provider: authorization code with PKCE, and the role that follows from a claim.

OpenID Connect Core 1.0, section 3.1; RFC 7636 (PKCE); RFC 9700 (best practices).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2
import jwt

from gateway.access.issuer import ALGORITHMS, TokenIssuer
from gateway.admin.accounts.account import Admin
from gateway.admin.accounts.membership import Memberships
from gateway.admin.accounts.secret import hash_of, new_secret
from gateway.database.pool import Database
from gateway.errors import CredentialError, OpenIdError, SignInUnavailableError
from gateway.settings import AdminSettings

_ATTEMPT_SECONDS = 600.0
_TIMEOUT_SECONDS = 10.0
_LEEWAY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Departure:
    """Where somebody is sent to sign in; `state` is bound to their browser by a cookie."""

    url: str
    state: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody who came back signed in, and the path that they wanted to go to."""

    admin: Admin
    return_to: str


class OpenId:
    """One provider, as the settings name it."""

    def __init__(self, database: Database, memberships: Memberships, settings: AdminSettings) -> None:
        self._database = database
        self._memberships = memberships
        self._settings = settings
        self._issuer = TokenIssuer(settings.openid_issuer)
        self._discovered: Mapping[str, Any] | None = None

    async def begin(self, return_to: str, redirect_uri: str) -> Departure:
        """Begin a sign-in; `return_to` is a path of this gateway. Raises OpenIdError."""
        document = await self._discover()
        state, nonce, verifier = new_secret(), new_secret(), secrets.token_urlsafe(64)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        await self._database.execute(
            "insert_openid_attempt", hash_of(state), nonce, verifier, local_path(return_to), _ATTEMPT_SECONDS
        )
        question = {
            "response_type": "code",
            "client_id": self._settings.openid_client_id,
            "redirect_uri": redirect_uri,
            "scope": self._settings.openid_scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        separator = "&" if "?" in document["authorization_endpoint"] else "?"
        return Departure(f"{document['authorization_endpoint']}{separator}{urlencode(question)}", state)

    async def complete(self, answer: Mapping[str, str], state: str | None, redirect_uri: str) -> Arrival:
        """End a sign-in with what the provider sent the browser back with, and the `state` of its cookie.

        Raises OpenIdError.
        """
        given = answer.get("state", "")
        if state is None or not hmac.compare_digest(given.encode(), state.encode()):
            raise OpenIdError("expired")
        attempt = await self._database.fetchrow("take_openid_attempt", hash_of(given))
        if attempt is None:
            raise OpenIdError("expired")
        if "error" in answer or not answer.get("code"):
            raise OpenIdError("refused")
        # RFC 9207: an answer that names its issuer has to name the one that was asked.
        if answer.get("iss", self._settings.openid_issuer) != self._settings.openid_issuer:
            raise OpenIdError("invalid")
        claims = await self._redeem(answer["code"], redirect_uri, attempt["code_verifier"], attempt["nonce"])
        admin = await self._memberships.admit(self._settings.openid_issuer, claims)
        if admin is None:
            raise OpenIdError("not-allowed")
        return Arrival(admin, attempt["return_to"])

    async def _redeem(self, code: str, redirect_uri: str, verifier: str, nonce: str) -> Mapping[str, Any]:
        document = await self._discover()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self._settings.openid_client_id,
            "code_verifier": verifier,
        }
        secret = self._settings.openid_client_secret
        basic = "client_secret_basic" in document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if secret and not basic:
            form["client_secret"] = secret
        async with httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS) as http:
            try:
                auth = httpx2.BasicAuth(self._settings.openid_client_id, secret) if secret and basic else None
                response = await http.post(document["token_endpoint"], data=form, auth=auth)
                if 400 <= response.status_code < 500:
                    raise OpenIdError("refused")
                response.raise_for_status()
                tokens = response.json()
            except (httpx2.HTTPError, ValueError):
                raise OpenIdError("unavailable") from None
            claims = await self._verified(tokens, nonce)
            if self._memberships.missing(claims):
                claims = {**await self._user_info(http, document, tokens, claims["sub"]), **claims}
        return claims

    async def _verified(self, tokens: Any, nonce: str) -> dict[str, Any]:
        """The claims of the ID token. Raises OpenIdError for one that was not made for this sign-in."""
        token = tokens.get("id_token") if isinstance(tokens, dict) else None
        if not isinstance(token, str):
            raise OpenIdError("invalid")
        client = self._settings.openid_client_id
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                await self._issuer.signing_key(jwt.get_unverified_header(token)),
                algorithms=list(ALGORITHMS),
                audience=client,
                issuer=self._settings.openid_issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except SignInUnavailableError:
            raise OpenIdError("unavailable") from None
        except (jwt.PyJWTError, CredentialError, ValueError, TypeError):
            raise OpenIdError("invalid") from None
        for_others = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("nonce") != nonce or (for_others and claims.get("azp") != client):
            raise OpenIdError("invalid")
        return claims

    async def _user_info(
        self, http: httpx2.AsyncClient, document: Mapping[str, Any], tokens: Mapping[str, Any], subject: str
    ) -> Mapping[str, Any]:
        """More claims, where the provider does not put them into the ID token."""
        url, token = document.get("userinfo_endpoint"), tokens.get("access_token")
        if not isinstance(url, str) or not isinstance(token, str):
            return {}
        try:
            response = await http.get(url, headers={"Authorization": f"Bearer {token}"})
            response.raise_for_status()
            info = response.json()
        except (httpx2.HTTPError, ValueError):
            return {}
        return info if isinstance(info, dict) and info.get("sub") == subject else {}

    async def _discover(self) -> Mapping[str, Any]:
        if self._discovered is None:
            issuer = self._settings.openid_issuer
            try:
                async with httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS) as http:
                    response = await http.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
                    response.raise_for_status()
                    document = response.json()
                needed = [document[name] for name in ("authorization_endpoint", "token_endpoint")]
                if document.get("issuer") != issuer or not all(isinstance(url, str) for url in needed):
                    raise OpenIdError("invalid")
            except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError, AttributeError):
                raise OpenIdError("unavailable") from None
            self._discovered = document
        return self._discovered


def local_path(path: str) -> str:
    """`path` where it leads to a page of this gateway, else `/`."""
    inside = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path[:2_000] if inside else "/"
