"""The roles and profiles of a configuration, with their rules, made a tenant's own."""

from __future__ import annotations

from collections.abc import Collection

from gateway.access.profiles import Profiles
from gateway.access.roles import create_role, delete_role, list_roles, refresh_visibility, update_role
from gateway.access.rules import RuleTarget
from gateway.access.tool_names import tool_by_name
from gateway.catalog.configuration.change import NOT_THERE_YET, ApplyOptions, ChangeKind, ChangeList
from gateway.catalog.configuration.document import ProfileEntry, RoleEntry, RuleEntry
from gateway.catalog.configuration.export import read_rules
from gateway.database.pool import Database
from gateway.errors import ConflictError, NotFoundError


class RoleUpdate:
    """Adds, changes and removes roles and profiles. `planned_servers` are servers that a dry run would have added."""

    def __init__(
        self,
        database: Database,
        tenant_id: int,
        options: ApplyOptions,
        changes: ChangeList,
        planned_servers: Collection[str],
    ) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._options = options
        self._changes = changes
        self._planned_servers = planned_servers

    async def apply_roles(self, entries: tuple[RoleEntry, ...]) -> None:
        """Raises InvalidInputError, ConflictError."""
        roles = {role.name: role for role in await list_roles(self._database, self._tenant_id)}
        for entry in entries:
            role = roles.get(entry.name)
            if role is None:
                role_id = None
                if not self._options.dry_run:
                    made = await create_role(
                        self._database,
                        self._tenant_id,
                        entry.name,
                        entry.default,
                        entry.description,
                        entry.approve,
                    )
                    role_id = made.id
                change: ChangeKind = "added"
            else:
                role_id = role.id
                same = (role.default_visibility, role.description, role.approve) == (
                    entry.default,
                    entry.description,
                    entry.approve,
                )
                if not same and not self._options.dry_run:
                    await update_role(
                        self._database,
                        self._tenant_id,
                        role.id,
                        role.version,
                        default=entry.default,
                        description=entry.description,
                        approve=entry.approve,
                    )
                change = "unchanged" if same else "changed"
            self._changes.record("role", entry.name, change)
            await self._apply_rules(entry, role_id)
        if self._options.prune:
            for name in sorted(roles.keys() - {entry.name for entry in entries}):
                if not self._options.dry_run:
                    await delete_role(self._database, self._tenant_id, roles[name].id)
                self._changes.record("role", name, "removed")

    async def apply_profiles(self, entries: tuple[ProfileEntry, ...]) -> None:
        """Raises InvalidInputError, ConflictError."""
        profiles = Profiles(self._database)
        current = {profile.name: profile for profile in await profiles.list(self._tenant_id)}
        for entry in entries:
            profile = current.get(entry.name)
            if profile is None:
                profile_id = None
                if not self._options.dry_run:
                    made = await profiles.create(self._tenant_id, entry.name, entry.list, entry.description)
                    profile_id = made.id
                change: ChangeKind = "added"
            else:
                profile_id = profile.id
                same = (profile.list_mode, profile.description) == (entry.list, entry.description)
                if not same and not self._options.dry_run:
                    await profiles.update(
                        self._tenant_id,
                        profile.id,
                        profile.version,
                        list_mode=entry.list,
                        description=entry.description,
                    )
                change = "unchanged" if same else "changed"
            self._changes.record("profile", entry.name, change)
            await self._apply_rules(entry, profile_id)
        if self._options.prune:
            for name in sorted(current.keys() - {entry.name for entry in entries}):
                if not self._options.dry_run:
                    await profiles.delete(self._tenant_id, current[name].id)
                self._changes.record("profile", name, "removed")

    async def _apply_rules(self, owner: RoleEntry | ProfileEntry, owner_id: int | None) -> None:
        """The rules of a role or profile; `owner_id` is None where it would be made only now."""
        stored = () if owner_id is None else await read_rules(self._database, self._tenant_id, owner_id)
        current = {rule.about: rule for rule in stored}
        wanted = {rule.about: rule for rule in owner.rules}
        to_set: list[tuple[RuleTarget, RuleEntry]] = []
        for about, rule in wanted.items():
            if current.get(about) == rule:
                continue
            name = f"{owner.name}: {rule.visibility} {about}"
            try:
                to_set.append((await self._target(rule), rule))
            except NotFoundError:
                self._changes.record("rule", name, "skipped", NOT_THERE_YET)
                continue
            self._changes.record("rule", name, "changed" if about in current else "added")
        removed = sorted(current.keys() - wanted.keys()) if self._options.prune else []
        for about in removed:
            self._changes.record("rule", f"{owner.name}: {current[about].visibility} {about}", "removed")
        if self._options.dry_run or owner_id is None or not (to_set or removed):
            return
        to_delete = [await self._target(current[about]) for about in removed]
        try:
            async with self._database.tenant_transaction(self._tenant_id) as transaction:
                for target in to_delete:
                    await transaction.execute("delete_rule_by_target", self._tenant_id, owner_id, *_columns(target))
                for target, rule in to_set:
                    rule_id = await transaction.fetchval(
                        "upsert_rule", self._tenant_id, owner_id, *_columns(target), rule.visibility
                    )
                    await transaction.execute("set_rule_approve", self._tenant_id, rule_id, rule.approve)
                await refresh_visibility(transaction, self._tenant_id, role_id=owner_id)
        except ConflictError:
            raise NotFoundError(f"A tool or server of the rules of {owner.name!r} is gone; apply again.") from None

    async def _target(self, rule: RuleEntry) -> RuleTarget:
        """What a rule is about, by number. Raises NotFoundError, InvalidInputError."""
        if rule.tool is not None:
            return RuleTarget(tool_id=(await tool_by_name(self._database, self._tenant_id, rule.tool)).id)
        if rule.server is not None:
            row = await self._database.fetchrow("server_by_name", self._tenant_id, rule.server)
            if row is None and self._options.dry_run and rule.server in self._planned_servers:
                return RuleTarget(server_id=0)
            if row is None:
                raise NotFoundError(f"There is no server {rule.server!r}.")
            return RuleTarget(server_id=row["id"])
        return RuleTarget(pattern=rule.pattern, category=rule.category)


def _columns(target: RuleTarget) -> tuple[int | str | None, ...]:
    return target.tool_id, target.pattern, target.server_id, target.category
