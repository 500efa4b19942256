"""Failed attempts to sign in, counted by name and address together, by address, and by name, each making the next wait
longer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.database.pool import Database
from gateway.edge.trusted_proxies import counted_address
from gateway.errors import LockedOutError


@dataclass(frozen=True, slots=True)
class LockoutPolicy:
    """How many failures go without a wait, and the first and the longest wait after them, in seconds."""

    free_failures: int
    first_wait: float
    longest_wait: float


# Who guesses at a name waits, and nobody else with them; behind one address many people may sit. Guesses at a name from
# many addresses are slowed down, never so far that its owner is kept out for long.
_PAIR_POLICY = LockoutPolicy(5, 30, 3_600)
_ADDRESS_POLICY = LockoutPolicy(20, 30, 3_600)
_NAME_POLICY = LockoutPolicy(30, 1, 30)
_NAME_LENGTH = 200


class Lockout:
    """Counts attempts in the database, for all processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count_attempt(self, name: str, address: str) -> None:
        """Count an attempt that is about to be judged. Raises LockedOutError while it has to wait.

        What waits is not counted for what comes after it in turn: one address alone does not slow down others.
        """
        for subject, policy in (
            (_address_key(address), _ADDRESS_POLICY),
            (_pair_key(name, address), _PAIR_POLICY),
            (_name_key(name), _NAME_POLICY),
        ):
            counted = await self._database.fetchval(
                "record_sign_in_attempt", subject, policy.free_failures, policy.first_wait, policy.longest_wait
            )
            if counted is None:
                wait = await self._database.fetchval("sign_in_wait_seconds", subject)
                raise LockedOutError(max(1, math.ceil(wait or 0)))

    async def clear(self, name: str, address: str) -> None:
        """Forget what failed before: an attempt was right."""
        subjects = [_name_key(name), _address_key(address), _pair_key(name, address)]
        await self._database.execute("clear_sign_in_failures", subjects)


def _name_key(name: str) -> str:
    return f"name {_storable(name.strip().lower()[:_NAME_LENGTH])}"


def _address_key(address: str) -> str:
    return f"address {_storable(counted_address(address)[:_NAME_LENGTH])}"


def _pair_key(name: str, address: str) -> str:
    return f"{_address_key(address)} {_name_key(name)}"


def _storable(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
