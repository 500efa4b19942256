"""The guards that rules ask for, built."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from gateway.guards.builtin.host import HostGuard
from gateway.guards.builtin.injection import InjectionFinder
from gateway.guards.builtin.path import PathGuard
from gateway.guards.builtin.schema import SchemaGuard
from gateway.guards.builtin.schemas import SchemaStore
from gateway.guards.builtin.size import SizeGuard
from gateway.guards.builtin.text_guard import TextGuard
from gateway.guards.guard_chain import ActiveGuard
from gateway.guards.inspection import format_counts, plural
from gateway.guards.options import (
    AllowOptions,
    InjectionOptions,
    PersonalOptions,
    PluginOptions,
    SizeOptions,
    WebhookOptions,
    read_options,
)
from gateway.guards.plugin.plugins import Plugins
from gateway.guards.rule import StoredGuardRule
from gateway.guards.webhook.webhooks import Webhooks
from gateway.sensitive_text.personal_data import holds_personal, mask_personal
from gateway.sensitive_text.secrets import holds_secrets, mask_secrets


class GuardFactory:
    """Builds guards, each set up with the options of its rule."""

    def __init__(self, schemas: SchemaStore, webhooks: Webhooks, plugins: Plugins) -> None:
        self._schemas = schemas
        self._webhooks = webhooks
        self._plugins = plugins

    def build(self, tenant_id: int, stored: StoredGuardRule) -> ActiveGuard:
        """The rule with its guard. Raises InvalidInputError for a guard that cannot be set up so."""
        rule = stored.rule
        options = read_options(rule.guard, rule.options)
        if rule.guard == "secrets":
            return ActiveGuard(rule, quick=TextGuard(holds_secrets, mask_secrets, format_counts))
        if isinstance(options, PersonalOptions):
            return ActiveGuard(
                rule, quick=TextGuard(holds_personal, partial(mask_personal, kinds=options.kinds), format_counts)
            )
        if isinstance(options, InjectionOptions):
            finder = InjectionFinder(options.hosts)
            return ActiveGuard(rule, quick=TextGuard(finder.may_hold, finder.mask, _format_injections))
        if isinstance(options, SizeOptions):
            return ActiveGuard(rule, quick=SizeGuard(options))
        if isinstance(options, AllowOptions):
            return ActiveGuard(rule, quick=PathGuard(options) if rule.guard == "path" else HostGuard(options))
        if isinstance(options, WebhookOptions):
            return ActiveGuard(rule, slow=self._webhooks.guard(tenant_id, stored, options))
        if isinstance(options, PluginOptions):
            return ActiveGuard(rule, slow=self._plugins.guard(tenant_id, stored, options), keeps_time=True)
        return ActiveGuard(rule, slow=SchemaGuard(self._schemas.get))

    def retain(self, tenant_id: int, rule_ids: set[int]) -> None:
        """Forget what is kept for rules of a tenant that are no more."""
        self._webhooks.retain(tenant_id, rule_ids)
        self._plugins.retain(tenant_id, rule_ids)


def _format_injections(counts: Mapping[str, int]) -> str:
    count = sum(counts.values())
    return f"{count:,} passage{plural(count)} that speak to the model, hide from the reader or give something away"
