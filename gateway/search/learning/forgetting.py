"""Forgetting what was learnt from use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from gateway.catalog.examples.tool_examples import ToolExamples
from gateway.database.pool import Database


@dataclass(frozen=True, slots=True)
class ForgetScope:
    """What is to be forgotten: what fits all that is given, and everything where nothing is.

    `account` is as `account_of` has it; `before` a moment after which it was not said again.
    """

    tool_id: int | None = None
    account: str | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class ForgottenTexts:
    """So many texts are `gone`, and `lessened`: others have said them as well."""

    gone: int
    lessened: int


class Forgetting:
    """Forgets for good, and keeps what is not counted yet from being learnt. What people gave as examples stays."""

    def __init__(self, database: Database, examples: ToolExamples) -> None:
        self._database = database
        self._examples = examples

    async def forget(self, tenant_id: int, scope: ForgetScope) -> ForgottenTexts:
        """Returns how many texts are forgotten. They have no effect from the next search on, in any process; what
        others have said as well stays, as far as they have said it and in their words.
        """
        async with self._database.tenant_transaction(tenant_id) as transaction:
            given = (tenant_id, scope.tool_id, scope.account, scope.before)
            # Searches are noted by the clocks of gateways.
            await transaction.execute("set_learning_cutoff", *given, datetime.now(timezone.utc))
            rows = await transaction.fetch("forget_callers", *given)
            touched = sorted({row["example_id"] for row in rows})
            gone = await transaction.fetch("forget_examples", tenant_id, scope.tool_id)
            if touched:
                # Others may have said the same in other words: those stay, and not the words of who is forgotten.
                await transaction.execute("reword_examples", tenant_id, touched)
                gone += await transaction.fetch("drop_unsaid_examples", tenant_id, touched)
                await transaction.execute("recount_examples", tenant_id, touched)
            tools = {row["tool_id"] for row in (*rows, *gone)}
            if tools:
                await self._examples.clear_effect(transaction, tenant_id, sorted(tools))
        return ForgottenTexts(len(gone), len(set(touched) - {row["id"] for row in gone}))
