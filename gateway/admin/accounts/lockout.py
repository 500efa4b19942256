"""Failed attempts to sign in, counted by name and by address, each making the next wait longer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.database.pool import Database
from gateway.errors import LockedOutError


@dataclass(frozen=True, slots=True)
class LockoutPolicy:
    """How many failures go without a wait, and the first and the longest wait after them, in seconds."""

    free_failures: int
    first_wait: float
    longest_wait: float


# A name is what is guessed at; behind one address many people may sit.
_NAME_POLICY = LockoutPolicy(5, 30, 3_600)
_ADDRESS_POLICY = LockoutPolicy(20, 30, 3_600)
_NAME_LENGTH = 200


class Lockout:
    """Counts attempts in the database, for all processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count_attempt(self, name: str, address: str) -> None:
        """Count an attempt that is about to be judged. Raises LockedOutError while the name or address has to wait."""
        for subject, policy in ((_address_key(address), _ADDRESS_POLICY), (_name_key(name), _NAME_POLICY)):
            counted = await self._database.fetchval(
                "record_sign_in_attempt", subject, policy.free_failures, policy.first_wait, policy.longest_wait
            )
            if counted is None:
                wait = await self._database.fetchval("sign_in_wait_seconds", subject)
                raise LockedOutError(max(1, math.ceil(wait or 0)))

    async def clear(self, name: str, address: str) -> None:
        """Forget what failed before: an attempt was right."""
        await self._database.execute("clear_sign_in_failures", [_name_key(name), _address_key(address)])


def _name_key(name: str) -> str:
    return f"name {_storable(name.strip().lower()[:_NAME_LENGTH])}"


def _address_key(address: str) -> str:
    return f"address {_storable(address[:_NAME_LENGTH])}"


def _storable(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
