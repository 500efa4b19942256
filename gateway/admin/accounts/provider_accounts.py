"""Accounts of people who sign in at an OpenID provider: what they may do follows from a claim, at every sign-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gateway.admin.accounts.account import Admin, AdminRole, admin_from_row, insert_account, set_account_tenants
from gateway.database.pool import Database
from gateway.errors import ConflictError, SettingsError
from gateway.settings import AdminSettings

_NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class RoleMapping:
    """What a value of the claim gives: a role, in one tenant or (None) in every."""

    value: str
    role: AdminRole
    tenant: str | None


class ProviderAccounts:
    """Makes and changes accounts as the provider's claims say."""

    def __init__(self, database: Database, settings: AdminSettings) -> None:
        """Raises SettingsError for an entry of admin.openid_roles that cannot be."""
        self._database = database
        self._claim = settings.openid_claim
        self._persons = frozenset(settings.openid_persons)
        self._mappings = tuple(_parse_mapping(entry) for entry in settings.openid_roles)

    def is_person(self, claims: Mapping[str, Any]) -> bool:
        """Whether who has these claims may see their own connections, even where no role goes with them."""
        return "*" in self._persons or not self._persons.isdisjoint(self._groups(claims))

    def has_role_claim(self, claims: Mapping[str, Any]) -> bool:
        """Whether the claim that roles follow from is among these."""
        return _claim_value(claims, self._claim) is not None

    async def provision(self, issuer: str, claims: Mapping[str, Any]) -> Admin | None:
        """The account of who has these claims, made or changed as they say; None where no role goes with them.

        Whoever is given the role admin anywhere is that, in those tenants; what a viewer may see elsewhere is left out.
        """
        groups = self._groups(claims)
        granted = [mapping for mapping in self._mappings if mapping.value in groups]
        role: AdminRole = "admin" if any(mapping.role == "admin" for mapping in granted) else "viewer"
        tenants = [mapping.tenant for mapping in granted if mapping.role == role]
        limited_to = None if None in tenants else [tenant for tenant in tenants if tenant is not None]
        subject = str(claims["sub"])
        async with self._database.transaction() as transaction:
            await transaction.execute("lock_admins")
            row = await transaction.fetchrow("admin_by_subject", issuer, subject)
            if not granted:
                if row is not None:
                    await transaction.execute("delete_other_admin_sessions", row["id"], None)
                return None
            if row is None:
                name = await self._free_name(issuer, claims, subject)
                admin_id = await insert_account(transaction, name, None, role, limited_to, issuer, subject)
                await transaction.execute("clear_admin_setup")
            else:
                admin_id = row["id"]
                before = (row["role"], row["every_tenant"], set(row["tenants"]))
                if before != (role, limited_to is None, set(limited_to or ())):
                    await transaction.execute("update_admin", admin_id, role, limited_to is None, None)
                    await set_account_tenants(transaction, admin_id, limited_to)
            found = await transaction.fetchrow("admin_by_id", admin_id)
        assert found is not None
        return admin_from_row(found)

    def _groups(self, claims: Mapping[str, Any]) -> list[str]:
        value = _claim_value(claims, self._claim)
        groups = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
        return [group for group in groups if isinstance(group, str)]

    async def _free_name(self, issuer: str, claims: Mapping[str, Any], subject: str) -> str:
        name = _name_in_claims(claims)
        place = urlsplit(issuer).hostname or "elsewhere"
        # An account of the gateway's own must not be taken for that of somebody elsewhere.
        for candidate in (name, f"{name} at {place}", f"{name} at {place}, {subject[:60]}"):
            if await self._database.fetchrow("admin_by_name", candidate) is None:
                return candidate
        raise ConflictError(f"There are too many admins named {name!r}; remove one of them.")


def _name_in_claims(claims: Mapping[str, Any]) -> str:
    """What others read of somebody; anybody may be called so."""
    known = [claims.get(key) for key in ("preferred_username", "email", "name")]
    name = next((each for each in known if isinstance(each, str) and each.strip()), str(claims["sub"]))
    return "".join(each for each in name if each.isprintable()).strip()[:_NAME_LENGTH] or "somebody"


def login_name(claims: Mapping[str, Any]) -> str:
    """By what somebody is known at the provider, as its access tokens have it: never what they may call themselves."""
    known = [claims.get("preferred_username"), claims.get("email") if claims.get("email_verified", True) else None]
    name = next((each for each in known if isinstance(each, str) and each.strip()), str(claims["sub"]))
    return "".join(each for each in name if each.isprintable()).strip()[:_NAME_LENGTH] or "somebody"


def _parse_mapping(entry: str) -> RoleMapping:
    value, separator, given = entry.rpartition("=")
    role, at_sign, tenant = given.strip().partition("@")
    if not separator or not value.strip() or role not in ("admin", "viewer") or (at_sign and not tenant):
        raise SettingsError(
            f'admin.openid_roles: {entry!r} has to be "value=role" or "value=role@tenant", the role admin or viewer.'
        )
    return RoleMapping(value.strip(), "admin" if role == "admin" else "viewer", tenant or None)


def _claim_value(claims: Mapping[str, Any], name: str) -> Any:
    if name in claims:
        return claims[name]
    outer, _, inner = name.partition(".")
    nested = claims.get(outer)
    return _claim_value(nested, inner) if inner and isinstance(nested, Mapping) else None
