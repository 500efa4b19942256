"""The plugins of all tenants, each with its processes for as long as its rule stays as it is."""

from __future__ import annotations

from gateway.guards.options import PluginOptions
from gateway.guards.plugin.plugin_guard import PluginGuard
from gateway.guards.rule import StoredGuardRule
from gateway.task_set import TaskSet


class Plugins:
    """Gives the guard of a rule: the same one, with its processes, until the rule is another."""

    def __init__(self) -> None:
        self._guards: dict[tuple[int, int], tuple[int, PluginGuard]] = {}
        self._tasks = TaskSet()

    def guard(self, tenant_id: int, stored: StoredGuardRule, options: PluginOptions) -> PluginGuard:
        """The guard, whose first process is started beside what goes on."""
        kept = self._guards.get((tenant_id, stored.id))
        if kept is not None and kept[0] == stored.version:
            return kept[1]
        if kept is not None:
            self._tasks.spawn(kept[1].aclose())
        rule = stored.rule
        guard = PluginGuard(rule.name, options.plugin, options.settings, rule.budget_ms / 1000)
        self._guards[tenant_id, stored.id] = (stored.version, guard)
        self._tasks.spawn(guard.warm_up())
        return guard

    def retain(self, tenant_id: int, rule_ids: set[int]) -> None:
        """End the processes of a tenant's rules that are no more."""
        for key in [key for key in self._guards if key[0] == tenant_id and key[1] not in rule_ids]:
            self._tasks.spawn(self._guards.pop(key)[1].aclose())

    async def aclose(self) -> None:
        """End every process."""
        for _, guard in self._guards.values():
            await guard.aclose()
        # What ends processes is not cut off; a process that is just starting sees that nobody wants it any more.
        await self._tasks.wait()
