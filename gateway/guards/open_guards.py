"""Opening the guards of a gateway, with all that they need."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from gateway.database.notices import Notices
from gateway.database.pool import Database
from gateway.guards.builtin.schemas import SchemaStore
from gateway.guards.guard_chain import GuardMetrics
from gateway.guards.guard_factory import GuardFactory
from gateway.guards.guards import Guards
from gateway.guards.plugin.plugins import Plugins
from gateway.guards.rules import GuardRules
from gateway.guards.webhook.webhook_client import WebhookClient
from gateway.guards.webhook.webhooks import Webhooks
from gateway.upstream.policy import ConnectionPolicy
from gateway.vault import Vault


@contextlib.asynccontextmanager
async def open_guards(
    database: Database, vault: Vault, policy: ConnectionPolicy, metrics: GuardMetrics, notices: Notices | None = None
) -> AsyncIterator[Guards]:
    """The guards of all tenants, until the block ends; webhooks are asked where `policy` lets servers be connected to.

    Without `notices` rules are read anew each time.
    """
    rules = GuardRules(database, vault)
    schemas = SchemaStore(database, notices)
    webhooks, plugins = Webhooks(WebhookClient(policy), rules), Plugins()
    try:
        yield Guards(rules, GuardFactory(schemas, webhooks, plugins), schemas, metrics, notices)
    finally:
        await plugins.aclose()
        await webhooks.aclose()
