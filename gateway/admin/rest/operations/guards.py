"""Guards around calls, prompts and resources."""

from __future__ import annotations

from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.guards import DryRunFilter, GuardCard, GuardInput
from gateway.guards.dry_run import DryRunReport


@operation("GET", "/guards")
async def list_guards(context: RestContext) -> tuple[GuardCard, ...]:
    """List the guards, in the order in which they are gone through."""
    return await context.services.guards.list(context.tenant.id, context.principal)


@operation("GET", "/guards/{name}")
async def get_guard(context: RestContext, name: str) -> GuardCard:
    """Show a guard."""
    return await context.services.guards.get(context.tenant.id, name, context.principal)


@operation("PUT", "/guards/{name}")
async def set_guard(context: RestContext, name: str, body: GuardInput) -> GuardCard:
    """Make a guard, or set it as a whole; it holds for the next call in every process.

    A webhook's new secret is in the answer, and shown this once.
    """
    return await context.services.guards.set(context.tenant.id, name, body)


@operation("DELETE", "/guards/{name}")
async def remove_guard(context: RestContext, name: str) -> None:
    """Remove a guard."""
    await context.services.guards.remove(context.tenant.id, name)


@operation("POST", "/guards/{name}/dry-run")
async def try_guard(context: RestContext, name: str, query: DryRunFilter) -> DryRunReport:
    """Say what a guard would have done about the last calls, by what the trace has kept of them."""
    return await context.services.guards.dry_run(context.tenant.id, name, query.calls)


OPERATIONS = (list_guards, get_guard, set_guard, remove_guard, try_guard)
