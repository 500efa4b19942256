"""Guards as entries of a tenant's document, their secrets replaced by `${NAME}`, and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, cast

from gateway.audit.redaction import Redactor
from gateway.catalog.category import CATEGORIES
from gateway.catalog.configuration.change import ApplyOptions, ChangeKind, ChangeList
from gateway.catalog.configuration.document import GuardEntry
from gateway.catalog.configuration.placeholders import PlaceholderNames, fill
from gateway.errors import InvalidInputError, NotFoundError
from gateway.guards.options import TRAITS
from gateway.guards.rule import (
    GUARD_KINDS,
    FailMode,
    GuardAction,
    GuardKind,
    GuardRule,
    Stage,
    StoredGuardRule,
    Subject,
)
from gateway.guards.rules import MAX_RULES, GuardRules, check_rule
from gateway.masking import MASK
from gateway.settings import AuditSettings

_PLANNED = 0
_SIGNED_ANEW = "signed with a new secret; give it the one that the webhook knows: modelgate guards set NAME --secret"


class ConfiguredGuards:
    """Takes the guards of tenants out as entries, and puts entries in."""

    def __init__(self, rules: GuardRules) -> None:
        self._rules = rules

    async def export(self, tenant_id: int, taken: set[str]) -> tuple[GuardEntry, ...]:
        """All guards, in the order in which they are gone through, without secrets, in whose place stand names that
        are not `taken`."""
        return tuple(
            _entry(stored, PlaceholderNames(f"guard {stored.rule.name}", taken))
            for stored in await self._rules.list(tenant_id)
        )

    async def check(self, tenant_id: int, entries: tuple[GuardEntry, ...], options: ApplyOptions) -> None:
        """Raises InvalidInputError, which names the guard, for one that cannot be, and for too many."""
        stored = {each.rule.name: each for each in await self._rules.list(tenant_id)}
        for entry in entries:
            self._rule(entry, stored.get(entry.name), options, None, None)
        count = len({entry.name for entry in entries} | (set() if options.prune else stored.keys()))
        if count > MAX_RULES:
            raise InvalidInputError(f"With this document there would be {count} guards; {MAX_RULES} may be at most.")

    async def apply(
        self,
        tenant_id: int,
        entries: tuple[GuardEntry, ...],
        options: ApplyOptions,
        changes: ChangeList,
        planned: Collection[str],
    ) -> None:
        """Make the guards as the entries have them. `planned` are roles and servers that a dry run would have added.

        Raises InvalidInputError, and what `GuardRules.set` does.
        """
        stored = {each.rule.name: each for each in await self._rules.list(tenant_id)}
        if options.prune:
            for name in sorted(stored.keys() - {entry.name for entry in entries}):
                if not options.dry_run:
                    await self._rules.remove(tenant_id, name)
                changes.record("guard", name, "removed")
        for entry in entries:
            current = stored.get(entry.name)
            try:
                role_id, server_id = await self._about(tenant_id, entry, planned if options.dry_run else ())
            except NotFoundError as error:
                changes.record("guard", entry.name, "skipped", error.message)
                continue
            rule = self._rule(entry, current, options, role_id, server_id)
            given = _secret(entry, options)
            known = None if current is None else await self._rules.secret(tenant_id, entry.name)
            if current is not None and rule == current.rule and given in (None, known):
                changes.record("guard", entry.name, "unchanged")
                continue
            note = _SIGNED_ANEW if rule.guard == "webhook" and given is None and known is None else None
            change: ChangeKind = "added" if current is None else "changed"
            if not options.dry_run:
                await self._rules.set(tenant_id, rule, secret=None if given == known else given)
            changes.record("guard", entry.name, change, note)

    async def _about(
        self, tenant_id: int, entry: GuardEntry, planned: Collection[str]
    ) -> tuple[int | None, int | None]:
        """Role and server of an entry, by number. Raises NotFoundError."""

        async def find(name: str | None, what: str, read: Callable[[int, str], Awaitable[int]]) -> int | None:
            if name is None:
                return None
            try:
                return await read(tenant_id, name)
            except NotFoundError:
                if name in planned:
                    return _PLANNED
                raise NotFoundError(f"there is no {what} {name!r}") from None

        return (
            await find(entry.role, "role", self._rules.role_id),
            await find(entry.server, "server", self._rules.server_id),
        )

    def _rule(
        self,
        entry: GuardEntry,
        current: StoredGuardRule | None,
        options: ApplyOptions,
        role_id: int | None,
        server_id: int | None,
    ) -> GuardRule:
        """The rule of an entry, its secrets filled in. Raises InvalidInputError, which names the guard."""
        before = current.rule.options if current is not None and current.rule.guard == entry.guard else {}
        missing: list[str] = []
        filled = _filled(entry.options, before, options.values, missing)
        try:
            if entry.guard not in GUARD_KINDS:
                raise InvalidInputError(f"guard has to be one of {', '.join(GUARD_KINDS)}.")
            if entry.category is not None and entry.category not in CATEGORIES:
                raise InvalidInputError(f"category has to be one of {', '.join(CATEGORIES)}.")
            if missing:
                raise InvalidInputError(f"there is no value for {', '.join(missing)}; set it, then apply the document.")
            kind: GuardKind = entry.guard
            rule = GuardRule(
                name=entry.name,
                guard=kind,
                action=cast(GuardAction, entry.action),
                stages=TRAITS[kind].stages if entry.stages is None else cast("tuple[Stage, ...]", entry.stages),
                subjects=cast("tuple[Subject, ...]", entry.subjects),
                position=entry.position,
                role_id=role_id,
                server_id=server_id,
                pattern=entry.pattern,
                category=entry.category,
                fail=cast(FailMode, entry.fail),
                budget_ms=entry.budget_ms,
                enabled=entry.enabled,
                options=filled,
            )
            # That there may be one has to hold of a placeholder too.
            check_rule(rule, _secret(entry, options) or (entry.secret and MASK))
        except InvalidInputError as error:
            raise InvalidInputError(f"The guard {entry.name[:100]!r} cannot be: {error.message}") from None
        return rule


def _secret(entry: GuardEntry, options: ApplyOptions) -> str | None:
    """What the document says that requests are signed with; None where it does not, or nobody gave it."""
    filled = fill(entry.secret, None, options.values)
    return None if filled.missing else filled.text


def _entry(stored: StoredGuardRule, names: PlaceholderNames) -> GuardEntry:
    rule = stored.rule
    options = dict(rule.options)
    if rule.guard == "webhook" and isinstance(options.get("url"), str):
        options["url"] = names.in_url(options["url"], "URL")
    if rule.guard == "plugin":
        redactor = Redactor(AuditSettings(argument_bytes=1_000_000))
        options = _masked(options, "settings", redactor, names)
    return GuardEntry(
        name=rule.name,
        guard=rule.guard,
        action=rule.action,
        stages=None if rule.stages == TRAITS[rule.guard].stages else rule.stages,
        subjects=rule.subjects,
        position=rule.position,
        role=stored.role,
        server=stored.server,
        pattern=rule.pattern,
        category=rule.category,
        fail=rule.fail,
        budget_ms=rule.budget_ms,
        enabled=rule.enabled,
        options=options,
        secret=names.of("secret") if rule.guard == "webhook" else None,
    )


def _masked(value: Any, name: str, redactor: Redactor, names: PlaceholderNames, *, is_part: bool = False) -> Any:
    """A setting with placeholders for whatever looks like a secret, is called as one, or `is_part` of what is."""
    is_part = is_part or redactor.redact_json({name: "x"}).get(name) != "x"
    if isinstance(value, Mapping):
        return {
            key: _masked(part, f"{name}_{key}" if is_part else str(key), redactor, names, is_part=is_part)
            for key, part in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_masked(part, name, redactor, names, is_part=is_part) for part in value]
    if isinstance(value, bool) or value in ("", None):
        return value
    is_secret = is_part or (isinstance(value, str) and redactor.redact_json({name: value}).get(name) != value)
    return names.of(name) if is_secret else value


def _filled(value: Any, stored: Any, values: Mapping[str, str], missing: list[str]) -> Any:
    """A value with its secrets, else as they are stored at the same place; adds the names of those that lack."""
    if isinstance(value, Mapping):
        before = stored if isinstance(stored, Mapping) else {}
        return {key: _filled(part, before.get(key), values, missing) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        kept = stored if isinstance(stored, (list, tuple)) else ()
        return [
            _filled(part, kept[place] if place < len(kept) else None, values, missing)
            for place, part in enumerate(value)
        ]
    if not isinstance(value, str):
        return value
    filled = fill(value, stored if isinstance(stored, str) else None, values)
    if filled.missing and isinstance(stored, (int, float)):
        return stored
    missing.extend(filled.missing)
    return filled.text
