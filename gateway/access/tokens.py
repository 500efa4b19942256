"""Sign-in by others: access tokens of an OpenID provider, and the roles that go with them.

OAuth 2.1 resource server; RFC 7519 (JWT), RFC 8725 (best practices), RFC 9068 (profile for access tokens).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt

from gateway.access.caller import Caller
from gateway.access.issuer import ALGORITHMS, TokenIssuer
from gateway.access.roles import list_roles
from gateway.access.tenants import tenant_by_slug
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.errors import CredentialError, RoleMissingError, SettingsError
from gateway.settings import OauthSettings

_LONGEST_TOKEN = 16 * 1024
_LOOPBACK_HOSTS = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class _TokenTenant:
    """What a sign-in can be given: the tenant and the ids of its roles by name."""

    tenant_id: int
    suspended: bool
    roles: dict[str, int]


class AccessTokens:
    """Turns access tokens into callers, as the settings say."""

    def __init__(
        self, database: Database, notices: Notices | None, settings: OauthSettings, issuer: TokenIssuer
    ) -> None:
        """Raises SettingsError for settings under which no token, or anybody's, would do."""
        _validate(settings)
        self._database = database
        self._settings = settings
        self._issuer = issuer
        self._role_map = _parse_role_map(settings.role_map)
        self._tenants: NotifiedCache[str, _TokenTenant] = NotifiedCache(notices)

    async def authenticate(self, token: str, profile: str | None = None) -> Caller:
        """The caller that an access token stands for; at a profile, a token made for that profile will do too.

        Raises CredentialError for a token that is not in force here, RoleMissingError where no role goes with it, and
        SignInUnavailableError while the provider's keys are not to be had.
        """
        claims = await self._claims(token, profile)
        if not _names_somebody(claims["sub"]):
            raise CredentialError("The access token does not say whose it is; its claim sub is empty.")
        tenant = await self._tenants.get(None, self._settings.tenant, self._read)
        if tenant.suspended:
            raise CredentialError("The tenant of this sign-in is suspended; ask its administrator.")
        names = [*self._settings.default_roles, *self._granted_roles(claims)]
        role_ids = {tenant.roles[name] for name in names if name in tenant.roles}
        if not role_ids:
            raise RoleMissingError("You are signed in, but no role goes with your groups; ask an administrator.")
        subject = str(claims["sub"])
        named = next((claims[key] for key in ("preferred_username", "email") if isinstance(claims.get(key), str)), None)
        return Caller(
            tenant.tenant_id,
            0,
            named or subject,
            tuple(sorted(role_ids)),
            subject=subject,
            issuer=self._settings.issuer,
            token=token,
        )

    async def _claims(self, token: str, profile: str | None) -> dict[str, Any]:
        if len(token) > _LONGEST_TOKEN:
            raise CredentialError("The access token is too long.")
        audiences = list(self._settings.audience)
        if profile is not None:
            audiences += [f"{audience}/p/{profile}" for audience in self._settings.audience]
        try:
            header = jwt.get_unverified_header(token)
            return jwt.decode(
                token,
                await self._issuer.signing_key(header),
                algorithms=list(ALGORITHMS),
                audience=audiences,
                issuer=self._settings.issuer,
                leeway=self._settings.clock_skew_seconds,
                options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError:
            raise CredentialError("The access token has expired; sign in again.") from None
        except jwt.ImmatureSignatureError:
            raise CredentialError("The access token is not valid yet; check the clocks.") from None
        except jwt.InvalidAudienceError:
            raise CredentialError("The access token was made for another service; sign in for this one.") from None
        except jwt.InvalidIssuerError:
            raise CredentialError("The access token is of a provider that is not trusted here.") from None
        except jwt.MissingRequiredClaimError as error:
            raise CredentialError(f"The access token lacks the claim {error.claim}.") from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise CredentialError("The access token is not valid; sign in again.") from None

    def _granted_roles(self, claims: dict[str, Any]) -> list[str]:
        """The names of the roles that the claims grant: mapped where there is a mapping, else as they are."""
        value = _find_claim(claims, self._settings.roles_claim)
        groups = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
        names = [group for group in groups if isinstance(group, str)]
        if not self._role_map:
            return names
        return [role for group in names for role in self._role_map.get(group, ())]

    async def _read(self) -> _TokenTenant:
        tenant = await tenant_by_slug(self._database, self._settings.tenant)
        roles = {role.name: role.id for role in await list_roles(self._database, tenant.id)}
        return _TokenTenant(tenant.id, tenant.suspended_at is not None, roles)


def _names_somebody(subject: object) -> bool:
    """Whether sessions, limits and the trace can be somebody's by this name: not one of blanks and unseen letters."""
    return isinstance(subject, str) and any(letter.isprintable() and not letter.isspace() for letter in subject)


def _find_claim(claims: dict[str, Any], name: str) -> Any:
    """A claim by name; `realm_access.roles` is also looked for inside of `realm_access`."""
    if name in claims:
        return claims[name]
    outer, _, inner = name.partition(".")
    nested = claims.get(outer)
    return _find_claim(nested, inner) if inner and isinstance(nested, dict) else None


def _parse_role_map(entries: tuple[str, ...]) -> dict[str, list[str]]:
    role_map: dict[str, list[str]] = {}
    for entry in entries:
        group, separator, role = entry.rpartition("=")
        if not separator or not group.strip() or not role.strip():
            raise SettingsError(f'oauth.role_map: {entry!r} has to be "group=role".')
        role_map.setdefault(group.strip(), []).append(role.strip())
    return role_map


def _validate(settings: OauthSettings) -> None:
    for name, url in (("issuer", settings.issuer), ("jwks_url", settings.jwks_url)):
        parts = urlsplit(url)
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK_HOSTS)
        if url and not (safe and parts.hostname):
            raise SettingsError(f"oauth.{name} has to be an https:// URL (http:// on this machine only), not {url!r}.")
    if not settings.audience:
        raise SettingsError(
            "oauth.audience is empty; set it to what access tokens for this gateway name as their audience, or tokens "
            "made for any other service of the provider would open it."
        )
