"""The first admin: made through a link that works once."""

from __future__ import annotations

from gateway.admin.accounts.account import Accounts, Admin, insert_account
from gateway.admin.accounts.password import Passwords
from gateway.admin.accounts.secret import hash_of, new_secret
from gateway.database.pool import Database
from gateway.errors import AccessError

_SECONDS = 3_600.0


async def new_setup_token(database: Database) -> str | None:
    """The token of a new link, valid for an hour; None where there is an admin already."""
    if await database.fetchval("count_admins"):
        return None
    token = new_secret()
    await database.execute("write_admin_setup", hash_of(token), _SECONDS)
    return token


class Setup:
    """Knows the link, and makes the account behind it."""

    def __init__(self, database: Database, accounts: Accounts, passwords: Passwords) -> None:
        self._database = database
        self._accounts = accounts
        self._passwords = passwords

    async def valid(self, token: str) -> bool:
        """Whether a link with this token would work."""
        return bool(await self._database.fetchval("admin_setup", hash_of(token)))

    async def complete(self, token: str, name: str, password: str) -> Admin:
        """The first admin, who may do everything; the link is used up.

        Raises AccessError for a token that is not in force, and what `Accounts.create` raises, after which the link
        works still.
        """
        if not await self.valid(token):
            raise _void()
        self._accounts.check_name(name)
        hashed = await self._passwords.hash(password)
        async with self._database.transaction() as transaction:
            await transaction.execute("lock_admins")
            if await transaction.fetchval("count_admins") or not await transaction.execute(
                "use_admin_setup", hash_of(token)
            ):
                raise _void()
            admin_id = await insert_account(transaction, name, hashed, "admin", None)
        return await self._accounts.get(admin_id)


def _void() -> AccessError:
    return AccessError(
        "This link has been used or is older than an hour; restart the gateway for a new one, or run "
        "modelgate admin create."
    )
