"""PasswordHasher of admins: what they have to be, and how they are hashed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.errors import InvalidInputError

MIN_LENGTH = 10
MAX_LENGTH = 1_000
PASSES = 2
MEMORY_KIB = 19_456
"""With one lane the first choice of the OWASP Password Storage Cheat Sheet."""

# A hash takes memory and time on purpose; many at once must not take the gateway's.
_MAX_CONCURRENT_HASHES = 2


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """Whether a password is right, and its new hash where the stored one is of weaker parameters than today's."""

    correct: bool
    new_hash: str | None = None


class PasswordHasher:
    """Hashes and checks passwords with argon2id."""

    def __init__(self, passes: int = PASSES, memory_kib: int = MEMORY_KIB) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1)
        self._limit = asyncio.Semaphore(_MAX_CONCURRENT_HASHES)
        # Verified where there is no such account, so that an unknown name takes as long as a wrong password.
        self._decoy_hash: str | None = None

    async def hash(self, password: str) -> str:
        """The hash to store. Raises InvalidInputError for a password that is too short or too long."""
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
            message = f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters; choose another."
            raise InvalidInputError(message, "password")
        async with self._limit:
            return await asyncio.to_thread(self._hasher.hash, _encodable(password))

    async def verify(self, stored_hash: str | None, password: str) -> PasswordCheck:
        """Whether `password` is the one of `stored_hash`; None, where there is none, is never right."""
        async with self._limit:
            return await asyncio.to_thread(self._verify, stored_hash, _encodable(password[: MAX_LENGTH + 1]))

    def _verify(self, stored_hash: str | None, password: str) -> PasswordCheck:
        if stored_hash is None:
            if self._decoy_hash is None:
                self._decoy_hash = self._hasher.hash("nobody has this password")
            self._matches(self._decoy_hash, password)
            return PasswordCheck(False)
        if not self._matches(stored_hash, password):
            return PasswordCheck(False)
        outdated = self._hasher.check_needs_rehash(stored_hash)
        return PasswordCheck(True, self._hasher.hash(password) if outdated else None)

    def _matches(self, stored_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored_hash, password)
        except (VerificationError, InvalidHashError):
            return False


def _encodable(password: str) -> str:
    # A lone surrogate, which JSON can carry, has no bytes to hash.
    return password.encode("utf-8", "backslashreplace").decode()
