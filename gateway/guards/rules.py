"""Guard rules of tenants, as they are stored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from gateway.access.roles import role_by_name
from gateway.catalog.secrets.sealed_texts import guard_owner
from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.errors import ConflictError, InvalidInputError, NotFoundError
from gateway.guards.installed_plugins import installed_plugins
from gateway.guards.options import TRAITS, PluginOptions, WebhookOptions, read_options
from gateway.guards.rule import FAIL_MODES, GUARD_ACTIONS, GUARD_KINDS, STAGES, SUBJECTS, GuardRule, StoredGuardRule
from gateway.guards.signature import new_secret
from gateway.vault import Vault

MAX_RULES = 200
"""How many rules a tenant may have."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,62}")
_MAX_BUDGET_MS = 60_000
_MAX_POSITION = 1_000_000
_MAX_SECRET = 500


class GuardRules:
    """The rules of tenants: listed, set and removed. Every process hears of a change."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def list(self, tenant_id: int) -> tuple[StoredGuardRule, ...]:
        """All rules, in the order in which they are gone through. Raises DatabaseError."""
        return tuple(_stored(row) for row in await self._database.fetch("list_guard_rules", tenant_id))

    async def get(self, tenant_id: int, name: str) -> StoredGuardRule:
        """The rule of this name. Raises NotFoundError and names those that are there."""
        rules = await self.list(tenant_id)
        for stored in rules:
            if stored.rule.name == name:
                return stored
        known = ", ".join(stored.rule.name for stored in rules[:20]) or "none"
        raise NotFoundError(f"There is no guard {name[:100]!r}; there are: {known}.")

    async def set(
        self, tenant_id: int, rule: GuardRule, *, secret: str | None = None, version: int | None = None
    ) -> StoredGuardRule:
        """Make a rule, or set the one of that name as a whole.

        A webhook without a new `secret` keeps the one it has, and gets one where it has none.

        Raises InvalidInputError for what cannot be, NotFoundError for a role or server that is not there, and
        ConflictError where the rule is no longer at `version`, or there are too many.
        """
        check_rule(rule, secret)
        made: str | None = None
        try:
            async with self._database.tenant_transaction(tenant_id) as transaction:
                row = await transaction.fetchrow("guard_rule_versions", tenant_id, rule.name)
                assert row is not None
                if version is not None and row["version"] not in (None, version):
                    raise ConflictError(f"The guard {rule.name} was changed by someone else meanwhile; look again.")
                if row["version"] is None and row["rules"] >= MAX_RULES:
                    raise ConflictError(f"There are {MAX_RULES} guards already, and no more may be; remove one first.")
                if rule.guard == "webhook" and secret is None and not row["has_secret"]:
                    secret = made = new_secret()
                sealed = secret and self._vault.seal({"secret": secret}, guard_owner(tenant_id, rule.name))
                await transaction.execute(
                    "set_guard_rule",
                    tenant_id,
                    rule.name,
                    rule.position,
                    rule.guard,
                    rule.action,
                    list(rule.stages),
                    list(rule.subjects),
                    rule.role_id,
                    rule.server_id,
                    rule.pattern,
                    rule.category,
                    rule.fail,
                    rule.budget_ms,
                    rule.enabled,
                    dict(rule.options),
                    sealed,
                )
                await transaction.execute("notify_tenant", tenant_id)
        except ConflictError as error:
            if "guard" in error.message:
                raise
            raise NotFoundError("There is no such role or server in this tenant.") from None
        return replace(await self.get(tenant_id, rule.name), new_secret=made)

    async def remove(self, tenant_id: int, name: str) -> None:
        """Raises NotFoundError."""
        async with self._database.transaction() as transaction:
            if not await transaction.execute("delete_guard_rule", tenant_id, name):
                raise NotFoundError(f"There is no guard {name[:100]!r}; modelgate guards list shows all.")
            await transaction.execute("notify_tenant", tenant_id)

    async def secret(self, tenant_id: int, name: str) -> str | None:
        """What requests of a webhook are signed with; None where it is not set. Raises SettingsError, DatabaseError."""
        sealed: bytes | None = await self._database.fetchval("guard_rule_secret", tenant_id, name)
        if sealed is None:
            return None
        return str(self._vault.open(sealed, guard_owner(tenant_id, name))["secret"])

    async def last_calls(self, tenant_id: int, calls: int) -> Sequence[Row]:
        """So many of the last calls of tools, as the trace has them, for guards to be tried on."""
        return await self._database.fetch("last_calls_for_guards", tenant_id, calls)

    async def role_id(self, tenant_id: int, name: str) -> int:
        """Raises NotFoundError."""
        return (await role_by_name(self._database, tenant_id, name)).id

    async def server_id(self, tenant_id: int, name: str) -> int:
        """The server of this name or slug. Raises NotFoundError."""
        row = await self._database.fetchrow("server_by_name", tenant_id, name)
        if row is None:
            raise NotFoundError(f"There is no server {name[:100]!r}; modelgate servers list shows all.")
        return int(row["id"])


def check_rule(rule: GuardRule, secret: str | None) -> None:
    """Raise InvalidInputError for a rule, or a secret of it, that cannot be here and now."""
    validate_rule(rule)
    _check_plugin(rule)
    if secret is not None and (rule.guard != "webhook" or not 8 <= len(secret) <= _MAX_SECRET):
        raise InvalidInputError(f"A secret is for a webhook, and has 8 to {_MAX_SECRET} characters.", "secret")


def validate_rule(rule: GuardRule) -> None:
    """Raise InvalidInputError for a rule that cannot be."""
    if not _NAME.fullmatch(rule.name):
        raise InvalidInputError(
            "The name of a guard has to be 1 to 63 letters, digits, spaces, dots, hyphens and underscores, and begin "
            "with a letter or digit.",
            "name",
        )
    _check_choice("guard", (rule.guard,), GUARD_KINDS)
    _check_choice("action", (rule.action,), GUARD_ACTIONS)
    _check_choice("stages", rule.stages, STAGES)
    _check_choice("subjects", rule.subjects, SUBJECTS)
    _check_choice("fail", (rule.fail,), FAIL_MODES)
    traits = TRAITS[rule.guard]
    for name, given, possible in (
        ("action", (rule.action,), traits.actions),
        ("stages", rule.stages, traits.stages),
        ("subjects", rule.subjects, traits.subjects),
    ):
        for each in given:
            if each not in possible:
                raise InvalidInputError(
                    f"The guard {rule.guard} knows no {name} {each}; it knows {' and '.join(possible)}.", name
                )
    if not 1 <= rule.budget_ms <= _MAX_BUDGET_MS:
        raise InvalidInputError(f"The budget has to be 1 to {_MAX_BUDGET_MS:,} milliseconds.", "budget_ms")
    if not 0 <= rule.position <= _MAX_POSITION:
        raise InvalidInputError(f"The position has to be 0 to {_MAX_POSITION:,}.", "position")
    if rule.pattern is not None and (not 1 <= len(rule.pattern) <= 200 or not rule.pattern.isprintable()):
        raise InvalidInputError("A pattern has to be 1 to 200 printable characters.", "pattern")
    if rule.category is not None and rule.subjects != ("tools",):
        raise InvalidInputError("Only tools have a category; leave it out, or the other subjects.", "category")
    options = read_options(rule.guard, rule.options)
    if isinstance(options, WebhookOptions):
        _check_url(options.url)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        is_address = False
    if not is_address:
        raise InvalidInputError(
            "The url of a webhook has to begin with http:// or https:// and a host, without user and password.",
            "options.url",
        )


def _check_plugin(rule: GuardRule) -> None:
    options = read_options(rule.guard, rule.options)
    if not isinstance(options, PluginOptions) or options.plugin in (installed := installed_plugins()):
        return
    raise InvalidInputError(
        f"There is no plugin {options.plugin!r} installed; there are: {', '.join(installed) or 'none'}.",
        "options.plugin",
    )


def _check_choice(field: str, given: tuple[str, ...], possible: tuple[str, ...]) -> None:
    if not given or len(set(given)) < len(given) or not set(given) <= set(possible):
        raise InvalidInputError(f"{field} has to be of {', '.join(possible)}, each once at most.", field)


def _stored(row: Row) -> StoredGuardRule:
    rule = GuardRule(
        name=row["name"],
        guard=row["guard"],
        action=row["action"],
        stages=tuple(row["stages"]),
        subjects=tuple(row["subjects"]),
        position=row["position"],
        role_id=row["role_id"],
        server_id=row["server_id"],
        pattern=row["pattern"],
        category=row["category"],
        fail=row["fail"],
        budget_ms=row["budget_ms"],
        enabled=row["enabled"],
        options=row["options"],
    )
    return StoredGuardRule(row["id"], row["version"], rule, row["role"], row["server"])
