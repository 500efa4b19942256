"""API keys: made, shown once, kept as a hash, looked up, revoked."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from gateway.access.caller import Caller
from gateway.access.roles import role_named
from gateway.database.pool import Database
from gateway.errors import CredentialError, InvalidInputError, NotFoundError

_SHAPE = re.compile(r"mg_[0-9a-f]{64}")
_HINT_LENGTH = 9


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. `key` is the only time the key itself is seen."""

    id: int
    name: str
    key: str


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What a list shows of a key; `hint` is its first characters."""

    id: int
    name: str
    hint: str
    roles: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @property
    def state(self) -> str:
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= datetime.now(timezone.utc):
            return "expired"
        return "in force"


class KeyRing:
    """The keys of every tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._used: dict[int, datetime] = {}

    async def create(
        self, tenant_id: int, name: str, roles: Sequence[str], expires_at: datetime | None = None
    ) -> NewKey:
        """Make a key with these roles, by name. Raises NotFoundError for a role that is not there."""
        if not roles:
            raise InvalidInputError("A key needs at least one role; without one it can see nothing.")
        role_ids = [(await role_named(self._database, tenant_id, role)).id for role in dict.fromkeys(roles)]
        key = f"mg_{secrets.token_hex(32)}"
        async with self._database.transaction() as transaction:
            key_id = await transaction.fetchval(
                "insert_key", tenant_id, name, _hash(key), key[:_HINT_LENGTH], expires_at
            )
            await transaction.execute("insert_key_roles", tenant_id, key_id, role_ids)
        return NewKey(key_id, name, key)

    async def authenticate(self, key: str | None) -> Caller:
        """The caller that `key` stands for.

        Raises CredentialError when it is missing, malformed, unknown, expired or revoked, and says which.
        """
        if not key:
            raise CredentialError("An API key is missing; send it as Authorization: Bearer mg_… or X-API-Key: mg_….")
        if not _SHAPE.fullmatch(key):
            raise CredentialError("The API key is not one of this gateway: a key is mg_ followed by 64 hex digits.")
        hashed = _hash(key)
        row = await self._database.fetchrow("key_by_hash", hashed)
        if row is None or not hmac.compare_digest(row["hash"], hashed):
            raise CredentialError("The API key is unknown; ask for a new one.")
        if row["revoked_at"] is not None:
            raise CredentialError("The API key has been revoked; ask for a new one.")
        now = datetime.now(timezone.utc)
        if row["expires_at"] is not None and row["expires_at"] <= now:
            raise CredentialError("The API key has expired; ask for a new one.")
        if row["suspended_at"] is not None:
            raise CredentialError("The tenant of this API key is suspended; ask its administrator.")
        self._used[row["id"]] = now
        return Caller(row["tenant_id"], row["id"], row["name"], tuple(row["role_ids"]))

    async def list(self, tenant_id: int) -> list[KeyRecord]:
        """Every key of a tenant, newest first."""
        rows = await self._database.fetch("list_keys", tenant_id)
        return [KeyRecord(**{**row, "roles": tuple(row["roles"])}) for row in rows]

    async def revoke(self, tenant_id: int, key_id: int) -> None:
        """End a key at once. Raises NotFoundError when there is none of that number in force."""
        if not await self._database.fetch("revoke_key", tenant_id, key_id):
            raise NotFoundError(f"There is no key {key_id} in force; `modelgate keys list` shows all.")

    async def write_use(self) -> None:
        """Write down when keys were last used, all since the last time in one statement."""
        used, self._used = self._used, {}
        if used:
            await self._database.execute("touch_keys", list(used), list(used.values()))


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
