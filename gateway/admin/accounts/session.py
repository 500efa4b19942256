"""Sessions of people who have signed in, kept in the database as a hash."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from gateway.admin.accounts.account import Admin, account
from gateway.admin.accounts.principal import Principal
from gateway.admin.accounts.secret import csrf_token, hash_of, new_secret
from gateway.database.pool import Database

_TOUCH_AFTER = timedelta(minutes=1)


class AdminSessions:
    """Opens, finds and ends sessions."""

    def __init__(self, database: Database, lifetime_seconds: float, idle_seconds: float) -> None:
        self._database = database
        self._lifetime = lifetime_seconds
        self._idle = idle_seconds

    async def open(self, admin: Admin, address: str) -> str:
        """A new session; what is returned goes into the cookie and is kept nowhere else."""
        session = new_secret()
        await self._database.execute("insert_admin_session", hash_of(session), admin.id, address, self._lifetime)
        return session

    async def principal(self, session: str) -> Principal | None:
        """Who a session belongs to; None when it has ended or never was."""
        hashed = hash_of(session)
        row = await self._database.fetchrow("admin_session", hashed, self._idle)
        if row is None:
            return None
        if datetime.now(timezone.utc) - row["used_at"] > _TOUCH_AFTER:
            await self._database.execute("touch_admin_session", hashed)
        admin = account(row)
        return Principal(admin, "session", admin.role, hashed, csrf_token(session))

    async def close(self, session_hash: bytes) -> None:
        """End a session at once."""
        await self._database.execute("delete_admin_session", session_hash)

    async def sweep(self) -> None:
        """Remove what is over."""
        await self._database.execute("delete_stale_admin_state", self._idle)
