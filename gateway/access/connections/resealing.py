"""Rows with one sealed value, sealed anew with the key in force."""

from __future__ import annotations

from collections.abc import Callable

from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.errors import SettingsError
from gateway.vault import Vault

_AT_ONCE = 100


async def reseal_rows(
    database: Database, vault: Vault, find: str, write: str, key: tuple[str, ...], owner: Callable[[Row], str]
) -> tuple[int, int]:
    """Seal `sealed` of all rows of the statement `find` anew, bound to `owner`; how many were, and how many no key
    opens.

    `find` is given the header of what is sealed with the key in force, the whole numbers in the columns `key` of the
    row before, zeros at first, and how many rows to find; `write` that key, what was sealed and what is to take its
    place.
    """
    done = failed = 0
    last = tuple(0 for _ in key)
    while rows := await database.fetch(find, vault.header, *last, _AT_ONCE):
        for row in rows:
            last = tuple(row[column] for column in key)
            try:
                anew = vault.seal(vault.open(row["sealed"], owner(row)), owner(row))
            except SettingsError:
                failed += 1
                continue
            await database.execute(write, *last, row["sealed"], anew)
            done += 1
    return done, failed
