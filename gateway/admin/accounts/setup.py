"""The first admin: made through a link that works once."""

from __future__ import annotations

from gateway.admin.accounts.account import Accounts, Admin, insert_account
from gateway.admin.accounts.password import PasswordHasher
from gateway.admin.accounts.secret import generate_secret, hash_secret
from gateway.database.pool import Database
from gateway.errors import AccessError

_LIFETIME_SECONDS = 3_600.0


async def create_setup_token(database: Database) -> str | None:
    """The token of a new link, valid for an hour; None where there is an admin already."""
    if await database.fetchval("count_admins"):
        return None
    token = generate_secret()
    await database.execute("upsert_admin_setup", hash_secret(token), _LIFETIME_SECONDS)
    return token


class FirstAdminSetup:
    """Checks the link, and makes the account behind it."""

    def __init__(self, database: Database, accounts: Accounts, passwords: PasswordHasher) -> None:
        self._database = database
        self._accounts = accounts
        self._passwords = passwords

    async def is_valid(self, token: str) -> bool:
        """Whether a link with this token would work."""
        return bool(await self._database.fetchval("admin_setup_is_valid", hash_secret(token)))

    async def complete(self, token: str, name: str, password: str) -> Admin:
        """The first admin, who may do everything; the link is used up.

        Raises AccessError for a token that is not in force, and what `Accounts.create` raises, after which the link
        works still.
        """
        if not await self.is_valid(token):
            raise _invalid_link()
        self._accounts.validate_name(name)
        password_hash = await self._passwords.hash(password)
        async with self._database.transaction() as transaction:
            await transaction.execute("lock_admins")
            if await transaction.fetchval("count_admins") or not await transaction.execute(
                "consume_admin_setup", hash_secret(token)
            ):
                raise _invalid_link()
            admin_id = await insert_account(transaction, name, password_hash, "admin", None)
        return await self._accounts.get(admin_id)


def _invalid_link() -> AccessError:
    return AccessError(
        "This link has been used or is older than an hour; restart the gateway for a new one, or run "
        "modelgate admin create."
    )
