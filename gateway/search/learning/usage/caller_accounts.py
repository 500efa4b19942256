"""Under what the searches and calls of somebody are counted, by what they go by."""

from __future__ import annotations

import re

from gateway.database.pool import Database
from gateway.errors import InvalidInputError, NotFoundError

_KEY = re.compile(r"(?:key )?([0-9]{1,18})")


class CallerAccounts:
    """Finds the accounts of keys and persons, also of those who are gone while anything is learnt from them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, tenant_id: int, name: str) -> list[str]:
        """The accounts of whom `name` means: a key by its number or name, or a person by name or subject, or as the
        audit log has one, `SUBJECT of ISSUER`. A key brings whom it acts for.

        Raises NotFoundError where that is nobody, and InvalidInputError where it is several.
        """
        number = _KEY.fullmatch(name)
        rows = await self._database.fetch("accounts_of_caller", tenant_id, name, int(number[1]) if number else None)
        # Who is meant by a number, or by all that tells a person, is nobody else who happens to have that for a name.
        exact = [row for row in rows if row["is_exact"]]
        of_callers: dict[str, set[str]] = {}
        for row in exact or rows:
            of_callers.setdefault(row["caller"], set()).add(row["account"])
        accounts = list(of_callers.values())
        if not accounts:
            raise NotFoundError(
                f"No caller goes by “{name}”; give the number or name of a key, or a person as SUBJECT of ISSUER."
            )
        # A person behind a key that was found as well is no other caller.
        parties = [each for each in accounts if not any(each < other for other in accounts)]
        if any(each != parties[0] for each in parties):
            several = ", ".join(sorted(of_callers))
            raise InvalidInputError(f"Several callers go by “{name}”: {several}; say which of them.", "caller")
        return sorted(parties[0])

    async def of_key(self, tenant_id: int, key_id: int) -> list[str]:
        """The accounts of the key of that number, and of whom it acts for. Raises NotFoundError."""
        rows = await self._database.fetch("accounts_of_caller", tenant_id, f"key {key_id}", key_id)
        # Others may have the number for a name or a subject.
        accounts = {row["account"] for row in rows if row["is_exact"]}
        if not accounts:
            raise NotFoundError(
                f"There is no key {key_id}, and nothing is learnt from one; modelgate keys list lists them."
            )
        return sorted(accounts)
