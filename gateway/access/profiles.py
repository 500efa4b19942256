"""Profiles: virtual servers, each a named selection with an endpoint of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import get_args

from gateway.access.caller import Caller, ListMode, Profile
from gateway.access.roles import refresh_visibility, validate_role, version_conflict
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.errors import ConflictError, InvalidInputError, NotFoundError

LIST_MODES: tuple[ListMode, ...] = get_args(ListMode)

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class ProfileRecord(Profile):
    """What a list shows of a profile: also how many rules select its tools."""

    rule_count: int


class Profiles:
    """The profiles of every tenant.

    What a profile selects are rules, set as those of a role (`gateway.access.rules`) with the profile's id: ALLOW for
    what is in it and listed where the list mode is "chosen", SEARCH for what is in it, DENY for what is left out of a
    wider selection. The most specific rule decides, and what no rule names is not in it.
    """

    def __init__(self, database: Database, notices: Notices | None = None) -> None:
        self._database = database
        self._cache: NotifiedCache[str, Profile] = NotifiedCache(notices)

    async def by_name(self, tenant_id: int, name: str) -> Profile:
        """The profile called `name`. Raises NotFoundError."""
        return await self._cache.get(tenant_id, name, lambda: self._read(tenant_id, name))

    async def apply(self, caller: Caller, name: str) -> Caller:
        """The caller at a profile's endpoint: what they see is in both. Raises NotFoundError."""
        profile = await self.by_name(caller.tenant_id, name)
        return replace(caller, role_ids=(*caller.role_ids, profile.id), profile=profile)

    async def list(self, tenant_id: int) -> list[ProfileRecord]:
        """Every profile of a tenant, by name."""
        return [ProfileRecord(**row) for row in await self._database.fetch("list_profiles", tenant_id)]

    async def create(self, tenant_id: int, name: str, list_mode: ListMode = "search", description: str = "") -> Profile:
        """A new profile that selects nothing yet. Raises InvalidInputError, ConflictError when the name is taken."""
        _validate(name, list_mode, description)
        try:
            async with self._database.tenant_transaction(tenant_id) as transaction:
                profile_id = await transaction.fetchval("insert_role", tenant_id, name, description, "DENY", list_mode)
                await refresh_visibility(transaction, tenant_id, role_id=profile_id)
        except ConflictError:
            raise ConflictError(f"There is a profile {name!r} already; choose another name.") from None
        return Profile(profile_id, name, description, list_mode, 1)

    async def update(
        self,
        tenant_id: int,
        profile_id: int,
        version: int,
        *,
        name: str | None = None,
        list_mode: ListMode | None = None,
        description: str | None = None,
    ) -> int:
        """Change a profile that is still at `version`; what is None stays. Returns its new version.

        Raises InvalidInputError, NotFoundError, and ConflictError when someone else changed it meanwhile.
        """
        _validate(name or "profile", list_mode or "search", description or "")
        async with self._database.tenant_transaction(tenant_id) as transaction:
            new: int | None = await transaction.fetchval(
                "update_role", tenant_id, profile_id, version, name, description, None, list_mode
            )
            if new is None:
                raise await version_conflict(transaction, "role", tenant_id, profile_id, version)
            await refresh_visibility(transaction, tenant_id, role_id=profile_id)
        return new

    async def delete(self, tenant_id: int, profile_id: int, version: int | None = None) -> None:
        """Delete a profile; its endpoint is gone at once. Raises NotFoundError and ConflictError as `update`."""
        async with self._database.tenant_transaction(tenant_id) as transaction:
            if not await transaction.execute("delete_role", tenant_id, profile_id, version):
                raise await version_conflict(transaction, "role", tenant_id, profile_id, version)
            await refresh_visibility(transaction, tenant_id, role_id=profile_id)

    async def _read(self, tenant_id: int, name: str) -> Profile:
        row = await self._database.fetchrow("profile_by_name", tenant_id, name) if _NAME.fullmatch(name) else None
        if row is None:
            raise NotFoundError(f"There is no profile {name[:100]!r}; ask your administrator for the right address.")
        return Profile(**row)


def _validate(name: str, list_mode: str, description: str) -> None:
    validate_role(name, description)
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"The profile name {name[:100]!r} has to be 1 to 63 lower-case letters, digits, _ or -; "
            "it stands in a URL.",
            "name",
        )
    if list_mode not in LIST_MODES:
        raise InvalidInputError(
            f"The list mode has to be one of {', '.join(LIST_MODES)}, not {list_mode[:100]!r}.", "list_mode"
        )
