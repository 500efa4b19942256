"""Commands about a role or a profile: it is found by its name, and its rules are listed, set and deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

import click

from gateway.access.roles import Visibility
from gateway.access.rules import Rule, RuleApproval, delete_rule, list_rules, set_rule
from gateway.cli.access.rule_target import NamedTarget
from gateway.cli.output import print_table, printable
from gateway.cli.runner import ResultT, run_with_tenant
from gateway.database.pool import Database
from gateway.errors import NotFoundError


class RuleOwner(Protocol):
    """Whatever has rules."""

    @property
    def id(self) -> int: ...


OwnerT = TypeVar("OwnerT", bound=RuleOwner)


class RuleOwnerCommands(Generic[OwnerT]):
    """What the commands about one kind of owner do; `find` gets an owner by its tenant and name, or raises."""

    def __init__(self, find: Callable[[Database, int, str], Awaitable[OwnerT]]) -> None:
        self._find = find

    def run(
        self,
        context: click.Context,
        tenant: str,
        name: str,
        work: Callable[[Database, int, OwnerT], Coroutine[Any, Any, ResultT]],
    ) -> ResultT:
        """Run `work` with the database, the id of the tenant and the owner of that name."""

        async def find_and_work(database: Database, tenant_id: int) -> ResultT:
            return await work(database, tenant_id, await self._find(database, tenant_id, name))

        return run_with_tenant(context, tenant, find_and_work)

    def rules(self, context: click.Context, tenant: str, name: str) -> tuple[OwnerT, list[Rule]]:
        """The owner and its rules."""

        async def work(database: Database, tenant_id: int, owner: OwnerT) -> tuple[OwnerT, list[Rule]]:
            return owner, await list_rules(database, tenant_id, owner.id)

        return self.run(context, tenant, name, work)

    def set_rule(
        self,
        context: click.Context,
        tenant: str,
        name: str,
        target: NamedTarget,
        visibility: Visibility,
        approve: RuleApproval | None = None,
    ) -> None:
        """Set what the owner says of `target`. Raises NotFoundError for what is not there."""

        async def work(database: Database, tenant_id: int, owner: OwnerT) -> None:
            found = await target.resolve(database, tenant_id)
            await set_rule(
                database,
                tenant_id,
                owner.id,
                visibility,
                tool_id=found.tool_id,
                pattern=found.pattern,
                server_id=found.server_id,
                category=found.category,
                approve=approve,
            )

        self.run(context, tenant, name, work)

    def delete_rule(self, context: click.Context, tenant: str, name: str, target: NamedTarget) -> None:
        """Take back what the owner says of `target`. Raises NotFoundError where it says nothing."""

        async def work(database: Database, tenant_id: int, owner: OwnerT) -> None:
            found = await target.resolve(database, tenant_id)
            rules = await list_rules(database, tenant_id, owner.id)
            rule_id = next((rule.id for rule in rules if rule.target == found), None)
            if rule_id is None:
                raise NotFoundError("There is no rule about that.")
            await delete_rule(database, tenant_id, rule_id)

        self.run(context, tenant, name, work)


def print_rules(rules: list[Rule]) -> None:
    """Print rules, the more specific first."""
    print_table(
        ["RULE", "ABOUT", "VISIBILITY", "APPROVAL"],
        [
            [
                str(rule.id),
                printable(rule.target_description) + (" (not there just now)" if rule.tool_removed else ""),
                rule.visibility,
                rule.approve,
            ]
            for rule in rules
        ],
    )
