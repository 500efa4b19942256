"""API keys of MCP clients, as people make, change and end them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Annotated

from pydantic import AwareDatetime, Field

from gateway.access.caller import Limits, Right
from gateway.access.keys import ApiKeys, KeyRecord, NewKey
from gateway.admin.request_input import FORBID_EXTRA
from gateway.errors import InvalidInputError

_SOON = timedelta(days=14)
_ANY_QUERY = "what can be done here"
_QUERY_WORDS = 10
# It stands between quotation marks of a shell.
_NO_LETTERS = re.compile(r"[^A-Za-z0-9]+")

_Limit = Annotated[int, Field(ge=1, le=2**31 - 1)]
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Roles = Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(min_length=1, max_length=100)]
_Note = Annotated[str, Field(max_length=2_000)]


@dataclass(frozen=True, slots=True)
class KeyCard:
    """A key as a list shows it. `state`: in force, expired or revoked; `hint` is the key's first characters.

    `expires_soon`: within two weeks. `replaces` is the number of the key that it took over from; `calls_today` counts
    where there is a budget of calls. `owner` is the account that it acts for since `accepted_at`, None where it acts
    for itself.
    """

    id: int
    name: str
    hint: str
    state: str
    roles: tuple[str, ...]
    note: str
    created_at: datetime
    expires_at: datetime | None
    expires_soon: bool
    revoked_at: datetime | None
    last_used_at: datetime | None
    replaces: int | None
    requests_per_minute: int | None
    concurrent_calls: int | None
    calls_per_day: int | None
    rights: tuple[Right, ...]
    calls_today: int
    owner: str | None
    accepted_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyInput:
    """A key as it is to be, with at least one role by name; without `expires_at` it never ends, null is no limit.

    The right `embed` lets it have texts embedded at /v1/embeddings, `approve` decide about calls of others at
    /v1/approvals. It acts for the account called `owner` once they have accepted it.
    """

    name: _Name
    roles: _Roles
    expires_at: AwareDatetime | None = None
    note: _Note = ""
    requests_per_minute: _Limit | None = None
    concurrent_calls: _Limit | None = None
    calls_per_day: _Limit | None = None
    rights: Annotated[tuple[Right, ...], Field(max_length=10)] = ()
    owner: _Name | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Which keys: with `text` in name, first characters or a role's name.

    `before` is the `next` of the page before.
    """

    text: Annotated[str, Field(max_length=200)] | None = None
    before: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class KeyPage:
    """A page of keys. `total` counts all that fit; `next` is for `before` of the next page, None on the last."""

    items: tuple[KeyCard, ...]
    total: int
    next: int | None


@dataclass(frozen=True, slots=True)
class Rotation:
    """For how many seconds the former key goes on beside the new one; at most 90 days."""

    overlap_seconds: Annotated[int, Field(ge=0, le=7_776_000)] = 0

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key that was just made. `key` is the only time it is seen."""

    id: int
    name: str
    key: str


class KeyService:
    """Keys of a tenant. What is changed holds for the next request."""

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys

    async def list(self, tenant_id: int) -> list[KeyCard]:
        """Every key, newest first."""
        return [_card(record) for record in await self._keys.list(tenant_id)]

    async def page(self, tenant_id: int, query: KeyFilter) -> KeyPage:
        """A page of the keys that fit, newest first."""
        records, total = await self._keys.page(tenant_id, query.text, query.before, query.limit + 1)
        cards = tuple(_card(record) for record in records[: query.limit])
        return KeyPage(cards, total, cards[-1].id if len(records) > query.limit else None)

    async def get(self, tenant_id: int, key_id: int) -> KeyCard:
        """One key. Raises NotFoundError."""
        return _card(await self._keys.by_id(tenant_id, key_id))

    async def example_query(self, tenant_id: int, key_id: int) -> str:
        """What a client with this key can search for and find something, in plain letters."""
        found = await self._keys.findable_tool(tenant_id, key_id)
        if found is None:
            return _ANY_QUERY
        words = _NO_LETTERS.sub(" ", re.split(r"[.\n(:;]", found.description)[0] or found.name).split()
        return " ".join(words[:_QUERY_WORDS]).lower() or _ANY_QUERY

    async def create(self, tenant_id: int, new: KeyInput) -> MadeKey:
        """Make a key. Raises InvalidInputError, and NotFoundError for a role that is not there."""
        _validate_expiry(new)
        return _made_key(
            await self._keys.create(
                tenant_id,
                new.name,
                new.roles,
                new.expires_at,
                note=new.note,
                limits=_limits(new),
                rights=new.rights,
                owner=new.owner,
            )
        )

    async def change(self, tenant_id: int, key_id: int, change: KeyInput) -> KeyCard:
        """Write anew what goes with a key that is not revoked. Raises as `create`, and NotFoundError for the key."""
        _validate_expiry(change)
        await self._keys.update(
            tenant_id,
            key_id,
            name=change.name,
            roles=change.roles,
            expires_at=change.expires_at,
            note=change.note,
            limits=_limits(change),
            rights=change.rights,
            owner=change.owner,
        )
        return await self.get(tenant_id, key_id)

    async def rotate(self, tenant_id: int, key_id: int, rotation: Rotation) -> MadeKey:
        """Make a key that takes over from one in force. Raises NotFoundError."""
        overlap = timedelta(seconds=rotation.overlap_seconds)
        return _made_key(await self._keys.rotate(tenant_id, key_id, overlap))

    async def revoke(self, tenant_id: int, key_id: int) -> None:
        """End a key at once. Raises NotFoundError."""
        await self._keys.revoke(tenant_id, key_id)


def _limits(given: KeyInput) -> Limits:
    return Limits(given.requests_per_minute, given.concurrent_calls, given.calls_per_day)


def _validate_expiry(given: KeyInput) -> None:
    if given.expires_at is not None and given.expires_at <= datetime.now(timezone.utc):
        raise InvalidInputError("expires_at lies in the past; a key has to be of use for a while.", "expires_at")


def _made_key(new: NewKey) -> MadeKey:
    return MadeKey(new.id, new.name, new.key)


def _expires_soon(record: KeyRecord) -> bool:
    ends = record.expires_at
    return record.state == "in force" and ends is not None and ends - datetime.now(timezone.utc) < _SOON


def _card(record: KeyRecord) -> KeyCard:
    return KeyCard(
        id=record.id,
        name=record.name,
        hint=record.hint,
        state=record.state,
        roles=record.roles,
        note=record.note,
        created_at=record.created_at,
        expires_at=record.expires_at,
        expires_soon=_expires_soon(record),
        revoked_at=record.revoked_at,
        last_used_at=record.last_used_at,
        replaces=record.replaces,
        requests_per_minute=record.limits.requests_per_minute,
        concurrent_calls=record.limits.concurrent_calls,
        calls_per_day=record.limits.calls_per_day,
        rights=record.rights,
        calls_today=record.calls_today,
        owner=record.owner,
        accepted_at=record.accepted_at,
    )
