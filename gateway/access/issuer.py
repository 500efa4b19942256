"""An OpenID provider: where its keys are, and the keys, as they change.

OpenID Connect Discovery 1.0, RFC 7517 (JWK).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import httpx2
import jwt

from gateway.bounded_http_client import BoundedHttpClient
from gateway.errors import CredentialError, SignInUnavailableError

logger = logging.getLogger(__name__)

# With public keys only: with a shared secret, or none, anybody who knows the public key could sign.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")

_TIMEOUT_SECONDS = 5.0
# Keys that could not be fetched again are trusted for this long at most.
_STALE_KEYS_SECONDS = 3600.0
# After a fetch that failed the provider is left alone for this long.
_RETRY_AFTER_SECONDS = 2.0
# How often the keys are fetched at most for keys unheard of, which may be made up.
_REFETCH_SECONDS = 2.0


class TokenIssuer:
    """The keys of one provider: fetched when first needed, when `max_age` has passed, and for a key unheard of."""

    def __init__(
        self,
        issuer: str,
        jwks_url: str = "",
        *,
        max_age: float = 300.0,
        refetch_seconds: float = _REFETCH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without a `jwks_url` the provider's discovery document names it."""
        self.issuer = issuer
        self._jwks_url = jwks_url
        self._max_age = max_age
        self._refetch_seconds = refetch_seconds
        self._clock = clock
        self._keys: list[dict[str, Any]] = []
        self._fetched_at: float | None = None
        self._failed_at: float | None = None
        self._fetches = 0
        self._fetching = asyncio.Lock()

    async def signing_key(self, header: dict[str, Any]) -> jwt.PyJWK:
        """The key that signed a token with this header.

        Raises CredentialError for an algorithm or a key that this provider does not sign with, and
        SignInUnavailableError while the provider does not answer and its keys are not known.
        """
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise CredentialError("The access token is not signed in a way that is accepted; sign in again.")
        if self._fetched_at is None or self._clock() - self._fetched_at > self._max_age:
            await self._fetch()
        found = self._find(header.get("kid"), algorithm)
        if found is None:
            await self._fetch_once_more()
            found = self._find(header.get("kid"), algorithm)
        if found is None:
            raise CredentialError("The access token is signed with a key that its provider does not have.")
        return found

    def _find(self, kid: object, algorithm: str) -> jwt.PyJWK | None:
        for data in self._keys:
            if data.get("use", "sig") != "sig" or data.get("alg", algorithm) != algorithm:
                continue
            # Without a key id only a sole key can be meant.
            if data.get("kid") != kid and not (kid is None and len(self._keys) == 1):
                continue
            try:
                return jwt.PyJWK(data, algorithm=algorithm)
            except (jwt.PyJWTError, ValueError, TypeError):
                continue
        return None

    async def _fetch_once_more(self) -> None:
        """Fetch the keys for one that is unheard of, together with all others that are.

        Whoever makes up keys makes everybody wait for the next time, but uses up nothing: a new key is in what comes.
        """
        fetches = self._fetches
        if self._fetched_at is not None:
            await asyncio.sleep(self._fetched_at + self._refetch_seconds - self._clock())
        if fetches == self._fetches:
            await self._fetch()

    async def _fetch(self) -> None:
        """Fetch the keys anew, once for all who wait for it."""
        fetches = self._fetches
        async with self._fetching:
            if fetches != self._fetches:
                return
            now = self._clock()
            if self._failed_at is not None and now - self._failed_at < _RETRY_AFTER_SECONDS:
                if self._fetched_at is None:
                    raise SignInUnavailableError()
                return
            try:
                async with BoundedHttpClient(total_seconds=_TIMEOUT_SECONDS) as http:
                    url = self._jwks_url or await self._discover(http)
                    document = await _get(http, url)
                keys = document.get("keys")
                if not isinstance(keys, list):
                    raise ValueError("there are no keys in the key set")
                self._keys = [key for key in keys if isinstance(key, dict)]
                self._fetched_at, self._failed_at = now, None
                self._fetches += 1
            except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, AttributeError, RecursionError) as error:
                self._failed_at = now
                logger.warning("The keys of %s could not be fetched: %s", self.issuer, error)
                if self._fetched_at is None or now - self._fetched_at > _STALE_KEYS_SECONDS:
                    raise SignInUnavailableError() from error

    async def _discover(self, http: httpx2.AsyncClient) -> str:
        document = await _get(http, f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if document.get("issuer") != self.issuer:
            raise ValueError(f"the discovery document names the issuer {str(document.get('issuer'))[:200]!r}")
        url = document.get("jwks_uri")
        if not isinstance(url, str) or (self.issuer.startswith("https:") and not url.startswith("https:")):
            raise ValueError("the discovery document has no jwks_uri that can be trusted")
        return url


async def _get(http: httpx2.AsyncClient, url: str) -> dict[str, Any]:
    response = await http.get(url, headers={"Accept": "application/json"})
    response.raise_for_status()
    document = response.json()
    if not isinstance(document, dict):
        raise ValueError("the answer is no JSON object")
    return document
