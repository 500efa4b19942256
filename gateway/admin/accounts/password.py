"""Passwords of admins: what they have to be, and how they are kept."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.errors import InvalidInputError

MINIMUM_LENGTH = 10
MAXIMUM_LENGTH = 1_000
# A hash takes memory and time on purpose; many at once must not take the gateway's.
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a password is right, and its new hash where the kept one is of weaker parameters than today's."""

    right: bool
    new_hash: str | None = None


class Passwords:
    """Hashes and checks passwords with argon2id: 19 MiB, two passes, one lane.

    The parameters are the first choice of the OWASP Password Storage Cheat Sheet.
    """

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._limit = asyncio.Semaphore(_AT_ONCE)
        # Checked where there is no such account, so that an unknown name takes as long as a wrong password.
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The hash to keep. Raises InvalidInputError for a password that is too short or too long."""
        if not MINIMUM_LENGTH <= len(password) <= MAXIMUM_LENGTH:
            raise InvalidInputError(
                f"A password has {MINIMUM_LENGTH} to {MAXIMUM_LENGTH} characters; choose another.", "password"
            )
        async with self._limit:
            return await asyncio.to_thread(self._hasher.hash, _storable(password))

    async def check(self, kept: str | None, password: str) -> Verdict:
        """Whether `password` is the one of the hash `kept`; None, where there is none, is never right."""
        async with self._limit:
            return await asyncio.to_thread(self._check, kept, _storable(password[: MAXIMUM_LENGTH + 1]))

    def _check(self, kept: str | None, password: str) -> Verdict:
        if kept is None:
            if self._nobody is None:
                self._nobody = self._hasher.hash("nobody has this password")
            self._verify(self._nobody, password)
            return Verdict(False)
        if not self._verify(kept, password):
            return Verdict(False)
        return Verdict(True, self._hasher.hash(password) if self._hasher.check_needs_rehash(kept) else None)

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False


def _storable(password: str) -> str:
    # A lone surrogate, which JSON can carry, has no bytes to hash.
    return password.encode("utf-8", "backslashreplace").decode()
