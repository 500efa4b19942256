"""The one way in: from a credential and an address to a caller."""

from __future__ import annotations

from gateway.access.caller import Caller
from gateway.access.keys import ApiKeys
from gateway.access.limits import Limiter
from gateway.access.profiles import Profiles
from gateway.access.tokens import AccessTokens


class CallerAuthenticator:
    """Lets callers in, and counts what they do; `tokens` is None where only API keys are accepted."""

    def __init__(self, keys: ApiKeys, tokens: AccessTokens | None, profiles: Profiles, limiter: Limiter) -> None:
        self._keys = keys
        self._tokens = tokens
        self._profiles = profiles
        self.limiter = limiter

    async def authenticate(self, credential: str | None, profile: str | None = None) -> Caller:
        """The caller with this API key or access token, at the endpoint of a profile or at the general one (None).

        Raises CredentialError, RoleMissingError, SignInUnavailableError, and NotFoundError for a profile that the
        caller's tenant does not have.
        """
        # An access token is three parts between dots, which no API key has.
        if self._tokens is not None and credential is not None and credential.count(".") == 2:
            caller = await self._tokens.authenticate(credential, profile)
        else:
            caller = await self._keys.authenticate(credential)
        return caller if profile is None else await self._profiles.apply(caller, profile)

    async def write_usage(self) -> None:
        """Write down when keys were last used, and how much. Raises DatabaseError."""
        await self._keys.write_last_used()
        await self.limiter.write_usage()
