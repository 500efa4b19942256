"""API keys: made, shown once, kept as a hash, looked up, changed, rotated, revoked."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from typing import get_args

from gateway.access.caller import Caller, Limits, Right
from gateway.access.persons import KEY_ISSUER, Identity, Person
from gateway.access.roles import role_by_name
from gateway.database.connection import Row
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.database.queries import escape_like
from gateway.errors import CredentialError, InvalidInputError, NotFoundError

_KEY_FORMAT = re.compile(r"mg_[0-9a-f]{64}")
_HINT_LENGTH = 9
_NAME_LENGTH = 200
_NOTE_LENGTH = 1_000
_LARGEST_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class FindableTool:
    """The server's own name and description of a tool."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. `key` is the only time the key itself is seen."""

    id: int
    name: str
    key: str


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What a list shows of a key; `hint` is its first characters, `replaces` the id of the key it took over from.

    `owner` is the account that it is to act for, None where it acts for itself; it does since `accepted_at`.
    `calls_today` counts the calls of this day (UTC) where the key has a budget of calls, up to a few seconds ago.
    """

    id: int
    name: str
    hint: str
    roles: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    note: str
    replaces: int | None
    limits: Limits
    rights: tuple[Right, ...]
    calls_today: int
    owner: str | None
    accepted_at: datetime | None

    @property
    def state(self) -> str:
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= datetime.now(timezone.utc):
            return "expired"
        return "in force"


@dataclass(frozen=True, slots=True)
class _StoredKey:
    """A key as it stands in the database, and whom it stands for."""

    row: Row
    caller: Caller


class ApiKeys:
    """The keys of every tenant."""

    def __init__(self, database: Database, notices: Notices | None = None) -> None:
        self._database = database
        self._cache: NotifiedCache[bytes, _StoredKey | None] = NotifiedCache(notices)
        self._last_used: dict[tuple[int, int], datetime] = {}

    async def create(
        self,
        tenant_id: int,
        name: str,
        roles: Sequence[str],
        expires_at: datetime | None = None,
        *,
        note: str = "",
        limits: Limits | None = None,
        rights: Sequence[str] = (),
        owner: str | None = None,
    ) -> NewKey:
        """Make a key with these roles, by name. It acts for the account called `owner` once they have accepted it.

        Raises InvalidInputError, and NotFoundError for a role that is not there.
        """
        limits = limits or Limits()
        _validate(name, note, limits, rights, owner)
        role_ids = await self._role_ids(tenant_id, roles)
        key = _generate_key()
        async with self._database.tenant_transaction(tenant_id) as transaction:
            key_id = await transaction.fetchval(
                "insert_key",
                tenant_id,
                name,
                _hash(key),
                key[:_HINT_LENGTH],
                expires_at,
                note,
                *_columns(limits),
                sorted(set(rights)),
                None,
                owner,
                None,
                None,
            )
            await transaction.execute("insert_key_roles", tenant_id, key_id, role_ids)
        return NewKey(key_id, name, key)

    async def authenticate(self, key: str | None) -> Caller:
        """The caller that `key` stands for.

        Raises CredentialError when it is missing, malformed, unknown, expired or revoked, and says which.
        """
        if not key:
            raise CredentialError("An API key is missing; send it as Authorization: Bearer mg_… or X-API-Key: mg_….")
        if not _KEY_FORMAT.fullmatch(key):
            raise CredentialError("The API key is not one of this gateway: a key is mg_ followed by 64 hex digits.")
        hashed = _hash(key)
        stored = await self._cache.get(None, hashed, lambda: self._read(hashed))
        if stored is None or not hmac.compare_digest(stored.row["hash"], hashed):
            raise CredentialError("The API key is unknown; ask for a new one.")
        row = stored.row
        if row["revoked_at"] is not None:
            raise CredentialError("The API key has been revoked; ask for a new one.")
        now = datetime.now(timezone.utc)
        if row["expires_at"] is not None and row["expires_at"] <= now:
            raise CredentialError("The API key has expired; ask for a new one.")
        if row["suspended_at"] is not None:
            raise CredentialError("The tenant of this API key is suspended; ask its administrator.")
        self._last_used[row["tenant_id"], row["id"]] = now
        return stored.caller

    async def list(self, tenant_id: int) -> list[KeyRecord]:
        """Every key of a tenant, newest first."""
        return [_record(row) for row in await self._database.fetch("list_keys", tenant_id)]

    async def by_id(self, tenant_id: int, key_id: int) -> KeyRecord:
        """One key. Raises NotFoundError."""
        row = await self._database.fetchrow("key_record", tenant_id, key_id)
        if row is None:
            raise _key_not_found(key_id)
        return _record(row)

    async def update(
        self,
        tenant_id: int,
        key_id: int,
        *,
        name: str,
        roles: Sequence[str],
        expires_at: datetime | None,
        note: str,
        limits: Limits,
        rights: Sequence[str] = (),
        owner: str | None = None,
    ) -> None:
        """Write anew what goes with a key that is not revoked; it holds for the next request.

        Another `owner` has to accept it before it acts for them.
        Raises InvalidInputError, and NotFoundError for a key or role that is not there.
        """
        _validate(name, note, limits, rights, owner)
        role_ids = await self._role_ids(tenant_id, roles)
        async with self._database.tenant_transaction(tenant_id) as transaction:
            changed = await transaction.fetch(
                "update_key", tenant_id, key_id, name, note, expires_at, *_columns(limits), sorted(set(rights)), owner
            )
            if not changed:
                raise _key_not_found(key_id)
            await transaction.execute("delete_key_roles", tenant_id, key_id)
            await transaction.execute("insert_key_roles", tenant_id, key_id, role_ids)

    async def page(
        self, tenant_id: int, text: str | None, before: int | None, limit: int
    ) -> tuple[tuple[KeyRecord, ...], int]:
        """The newest keys with `text` in name, hint or a role's name, ids below `before`, and the number of all."""
        pattern = None if not text else f"%{escape_like(text)}%"
        async with self._database.connection() as connection:
            rows = await connection.fetch("keys_page", tenant_id, pattern, before, limit)
            total: int = await connection.fetchval("count_keys", tenant_id, pattern)
        return tuple(_record(row) for row in rows), total

    async def findable_tool(self, tenant_id: int, key_id: int) -> FindableTool | None:
        """A tool that a client with this key can find; None where there is none."""
        row = await self._database.fetchrow("findable_tool", tenant_id, key_id)
        return None if row is None else FindableTool(row["name"], row["description"])

    async def rotate(self, tenant_id: int, key_id: int, overlap: timedelta = timedelta()) -> NewKey:
        """Make a key that takes over from one in force: same name, roles, rights, note and limits, and as long a life.
        It acts for the same person: what the owner accepted or the former key has connected holds for it, too.

        The former key goes on for `overlap`, or to its own end if that is nearer. Raises InvalidInputError for an
        overlap below zero, and NotFoundError.
        """
        if overlap < timedelta():
            raise InvalidInputError("The overlap has to be zero or more.", "overlap")
        now = datetime.now(timezone.utc)
        key = _generate_key()
        async with self._database.tenant_transaction(tenant_id) as transaction:
            old = await transaction.fetchrow("key_to_rotate", tenant_id, key_id)
            if old is None:
                raise _key_not_found(key_id)
            person_id = old["person_id"]
            if old["owner"] is None and person_id is None:
                row = await transaction.fetchrow("ensure_person", tenant_id, KEY_ISSUER, str(key_id), old["name"])
                person_id = None if row is None else row["id"]
            ends = None if old["expires_at"] is None else now + (old["expires_at"] - old["created_at"])
            new_id = await transaction.fetchval(
                "insert_key",
                tenant_id,
                old["name"],
                _hash(key),
                key[:_HINT_LENGTH],
                ends,
                old["note"],
                *_columns(_limits(old)),
                old["rights"],
                key_id,
                old["owner"],
                person_id,
                old["accepted_at"],
            )
            await transaction.execute("insert_key_roles", tenant_id, new_id, old["role_ids"])
            await transaction.execute("expire_key_at", tenant_id, key_id, now + overlap)
        return NewKey(new_id, old["name"], key)

    async def awaiting(self, tenant_id: int, owner: str) -> Sequence[KeyRecord]:
        """Keys in force that are to act for the account called `owner` and have not been accepted."""
        return [_record(row) for row in await self._database.fetch("keys_awaiting", tenant_id, owner)]

    async def of_person(self, tenant_id: int, person_id: int) -> Sequence[KeyRecord]:
        """Keys in force that act for a person."""
        return [_record(row) for row in await self._database.fetch("keys_of_person", tenant_id, person_id)]

    async def accept(self, person: Person, key_id: int, owner: str) -> None:
        """The person, who signed in as the account called `owner`, lets a key act for them.

        Raises NotFoundError where there is no such key that is to act for that account.
        """
        if not await self._database.fetch("accept_key", person.tenant_id, key_id, person.id, owner):
            raise NotFoundError("There is no key in force that waits for you to accept it.")

    async def release(self, person: Person, key_id: int) -> None:
        """The person no longer lets a key act for them. Raises NotFoundError where none of that number does."""
        if not await self._database.fetch("release_key", person.tenant_id, key_id, person.id):
            raise NotFoundError("That key does not act for you.")

    async def revoke(self, tenant_id: int, key_id: int) -> None:
        """End a key at once, and what it has connected for itself. Raises NotFoundError when there is none of that
        number in force.
        """
        if not await self._database.fetch("revoke_key", tenant_id, key_id):
            raise _key_not_found(key_id)
        await self._database.fetch("delete_person_of_key", tenant_id, key_id)

    async def write_last_used(self) -> None:
        """Write down when keys were last used, all since the last time in one statement."""
        used, self._last_used = self._last_used, {}
        if used:
            tenants, ids = zip(*used, strict=True)
            await self._database.execute("touch_keys", tenants, ids, list(used.values()))

    async def _read(self, hashed: bytes) -> _StoredKey | None:
        row = await self._database.fetchrow("key_by_hash", hashed)
        if row is None:
            return None
        roles, rights = tuple(row["role_ids"]), tuple(row["rights"])
        # Whoever made the key only named its owner; that they accepted it is what counts.
        acts = row["person_issuer"] is not None and (row["owner"] is None or row["accepted_at"] is not None)
        caller = Caller(
            row["tenant_id"],
            row["id"],
            row["name"],
            roles,
            _limits(row),
            rights,
            acts_for=Identity(row["person_issuer"], row["person_subject"]) if acts else None,
            awaits="" if acts or row["owner"] is None else row["owner"],
        )
        return _StoredKey(row, caller)

    async def _role_ids(self, tenant_id: int, roles: Sequence[str]) -> tuple[int, ...]:
        if not roles:
            raise InvalidInputError("A key needs at least one role; without one it can see nothing.", "roles")
        return tuple([(await role_by_name(self._database, tenant_id, role)).id for role in dict.fromkeys(roles)])


def _generate_key() -> str:
    return f"mg_{secrets.token_hex(32)}"


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _validate(name: str, note: str, limits: Limits, rights: Sequence[str], owner: str | None) -> None:
    if not name.strip() or len(name) > _NAME_LENGTH or not name.isprintable():
        raise InvalidInputError(f"The name of a key has to be 1 to {_NAME_LENGTH} printable characters.", "name")
    if len(note) > _NOTE_LENGTH or "\x00" in note:
        raise InvalidInputError(f"The note of a key has to be at most {_NOTE_LENGTH} characters.", "note")
    for name_of_limit, limit in asdict(limits).items():
        if limit is not None and not 1 <= limit <= _LARGEST_LIMIT:
            raise InvalidInputError(
                f"A limit of a key has to be a whole number from 1 to {_LARGEST_LIMIT}.", name_of_limit
            )
    if owner is not None and (not owner.strip() or len(owner) > _NAME_LENGTH or not owner.isprintable()):
        raise InvalidInputError(
            f"The owner of a key is the name of an account, 1 to {_NAME_LENGTH} printable characters.", "owner"
        )
    if not set(rights) <= set(get_args(Right)):
        raise InvalidInputError(f"The rights of a key are: {', '.join(get_args(Right))}.", "rights")


def _columns(limits: Limits) -> tuple[int | None, int | None, int | None]:
    return limits.requests_per_minute, limits.concurrent_calls, limits.calls_per_day


def _limits(row: Row) -> Limits:
    return Limits(row["requests_per_minute"], row["concurrent_calls"], row["calls_per_day"])


def _record(row: Row) -> KeyRecord:
    plain = {name: row[name] for name in KeyRecord.__dataclass_fields__ if name not in ("roles", "limits", "rights")}
    return KeyRecord(**plain, roles=tuple(row["roles"]), limits=_limits(row), rights=tuple(row["rights"]))


def _key_not_found(key_id: int) -> NotFoundError:
    return NotFoundError(f"There is no key {key_id} in force; `modelgate keys list` shows all.")
