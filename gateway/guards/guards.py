"""The guards in force of every tenant."""

from __future__ import annotations

from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.errors import GuardError, ModelGateError
from gateway.guards.builtin.schemas import SchemaStore
from gateway.guards.guard_chain import ActiveGuard, GuardChain, GuardMetrics
from gateway.guards.guard_factory import GuardFactory
from gateway.guards.rule import StoredGuardRule
from gateway.guards.rules import GuardRules

_MAX_TENANTS = 1_000


class Guards:
    """Gives the chain of guards that a tenant's rules make, kept until they change. `rules` are these."""

    def __init__(
        self,
        rules: GuardRules,
        factory: GuardFactory,
        schemas: SchemaStore,
        metrics: GuardMetrics,
        notices: Notices | None,
    ) -> None:
        self.rules = rules
        self._factory = factory
        self._schemas = schemas
        self._metrics = metrics
        self._chains: NotifiedCache[None, GuardChain] = NotifiedCache(notices, _MAX_TENANTS)

    async def chain(self, tenant_id: int) -> GuardChain:
        """The guards of a tenant; False where there are none. Raises DatabaseError."""
        return await self._chains.get(tenant_id, None, lambda: self._read(tenant_id))

    def build_chain(self, tenant_id: int, stored: StoredGuardRule) -> GuardChain:
        """A chain of one rule alone, which nobody counts."""
        return GuardChain([self._build(tenant_id, stored)], self._schemas, _Uncounted())

    async def trim(self, tenant_id: int) -> None:
        """End what was begun for rules that are not in force, as it is to try them. Raises DatabaseError."""
        rules = await self.rules.list(tenant_id)
        self._factory.retain(tenant_id, {stored.id for stored in rules if stored.rule.enabled})

    def _build(self, tenant_id: int, stored: StoredGuardRule) -> ActiveGuard:
        """A rule with its guard. One that cannot be built fails each time that it is asked."""
        try:
            return self._factory.build(tenant_id, stored)
        except ModelGateError as error:
            return ActiveGuard(stored.rule, broken=GuardError(error.message.rstrip(".")))

    async def _read(self, tenant_id: int) -> GuardChain:
        rules = await self.rules.list(tenant_id)
        self._factory.retain(tenant_id, {stored.id for stored in rules if stored.rule.enabled})
        guards = [self._build(tenant_id, stored) for stored in rules if stored.rule.enabled]
        return GuardChain(guards, self._schemas, self._metrics)


class _Uncounted:
    def observe_guard(self, guard: str, verdict: str, seconds: float) -> None:
        """What is only tried is in no metric."""
