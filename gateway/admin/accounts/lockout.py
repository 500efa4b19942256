"""Failed attempts to sign in, counted by name and by address, each making the next wait longer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.database.pool import Database
from gateway.errors import LockedOutError


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many failures go without a wait, the first wait after them, and the longest, in seconds."""

    failures: int
    first_wait: float
    longest_wait: float


# A name is what is guessed at; behind one address many people may sit.
_OF_NAME = Allowance(5, 30, 3_600)
_OF_ADDRESS = Allowance(20, 30, 3_600)
_NAME_LENGTH = 200


class Lockout:
    """Counts attempts in the database, for all processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, name: str, address: str) -> None:
        """Count an attempt that is about to be judged. Raises LockedOutError while the name or address has to wait."""
        for subject, allowed in ((_address(address), _OF_ADDRESS), (_name(name), _OF_NAME)):
            counted = await self._database.fetchval(
                "begin_sign_in", subject, allowed.failures, allowed.first_wait, allowed.longest_wait
            )
            if counted is None:
                wait = await self._database.fetchval("sign_in_wait", subject)
                raise LockedOutError(max(1, math.ceil(wait or 0)))

    async def succeed(self, name: str, address: str) -> None:
        """The attempt was right: what failed before is forgotten."""
        await self._database.execute("forget_sign_in_failures", [_name(name), _address(address)])


def _name(name: str) -> str:
    return f"name {_storable(name.strip().lower()[:_NAME_LENGTH])}"


def _address(address: str) -> str:
    return f"address {_storable(address[:_NAME_LENGTH])}"


def _storable(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
