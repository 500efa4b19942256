"""Sessions of people who have signed in, stored as a hash."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from gateway.admin.accounts.account import Admin, admin_from_row
from gateway.admin.accounts.principal import Principal
from gateway.admin.accounts.secret import derive_csrf_token, generate_secret, hash_secret
from gateway.database.pool import Database

_TOUCH_AFTER = timedelta(minutes=1)


class AdminSessions:
    """Opens, finds and ends sessions."""

    def __init__(self, database: Database, lifetime_seconds: float, idle_seconds: float) -> None:
        self._database = database
        self._lifetime_seconds = lifetime_seconds
        self._idle_seconds = idle_seconds

    async def open(self, admin: Admin, address: str) -> str:
        """A new session; what is returned goes into the cookie and is stored nowhere else."""
        session = generate_secret()
        await self._database.execute(
            "insert_admin_session", hash_secret(session), admin.id, address, self._lifetime_seconds
        )
        return session

    async def authenticate(self, session: str) -> Principal | None:
        """Who a session belongs to; None when it has ended or never was."""
        session_hash = hash_secret(session)
        row = await self._database.fetchrow("admin_session", session_hash, self._idle_seconds)
        if row is None:
            return None
        if datetime.now(timezone.utc) - row["used_at"] > _TOUCH_AFTER:
            await self._database.execute("touch_admin_session", session_hash)
        admin = admin_from_row(row)
        return Principal(admin, "session", admin.role, session_hash, derive_csrf_token(session))

    async def close(self, session_hash: bytes) -> None:
        """End a session at once."""
        await self._database.execute("delete_admin_session", session_hash)

    async def delete_expired(self) -> None:
        """Remove sessions and attempts to sign in that are over."""
        await self._database.execute("delete_stale_admin_state", self._idle_seconds)
