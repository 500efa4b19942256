"""The webhooks of all tenants, each kept for as long as its rule stays as it is."""

from __future__ import annotations

from gateway.guards.options import WebhookOptions
from gateway.guards.rule import StoredGuardRule
from gateway.guards.rules import GuardRules
from gateway.guards.webhook.webhook_client import WebhookClient
from gateway.guards.webhook.webhook_guard import WebhookGuard


class Webhooks:
    """Gives the guard of a rule: the same one, with its breaker, until the rule is another."""

    def __init__(self, client: WebhookClient, rules: GuardRules) -> None:
        self._client = client
        self._rules = rules
        self._guards: dict[tuple[int, int], tuple[int, WebhookGuard]] = {}

    def guard(self, tenant_id: int, stored: StoredGuardRule, options: WebhookOptions) -> WebhookGuard:
        """Raises InvalidInputError for an address that nothing may be sent to."""
        kept = self._guards.get((tenant_id, stored.id))
        if kept is not None and kept[0] == stored.version:
            return kept[1]
        rule = stored.rule
        guard = WebhookGuard(
            self._client,
            rule.name,
            options.url,
            rule.budget_ms / 1000,
            lambda: self._rules.secret(tenant_id, rule.name),
        )
        self._guards[tenant_id, stored.id] = (stored.version, guard)
        return guard

    def retain(self, tenant_id: int, rule_ids: set[int]) -> None:
        """Forget the webhooks of a tenant's rules that are no more."""
        for key in [key for key in self._guards if key[0] == tenant_id and key[1] not in rule_ids]:
            del self._guards[key]

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()
