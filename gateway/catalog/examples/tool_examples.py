"""The examples of tools, as the database keeps them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from gateway.catalog.examples.example_text import check_text, text_key
from gateway.database.connection import DatabaseConnection
from gateway.database.pool import Database
from gateway.errors import InvalidInputError, NotFoundError

ExampleSource: TypeAlias = Literal["admin", "use", "llm"]
"""Who says so: a person, calls that followed searches, or a language model."""

ExampleState: TypeAlias = Literal["counted", "waiting", "approved", "dismissed"]
"""`counted`: it has effect once it was used often enough; `waiting`: an admin has to say that it is meant; `approved`:
it has effect as it is; `dismissed`: it has none, and is not learnt again."""

MAX_EXAMPLES = 50
"""Of one tool."""


@dataclass(frozen=True, slots=True)
class ToolExample:
    """What is said when a tool is meant. So many `calls` of `callers` followed it, which `count` so much: later ones
    after the same search count half.
    """

    id: int
    tool_id: int
    text: str
    source: ExampleSource
    state: ExampleState
    count: float
    calls: int
    callers: int
    first_seen_at: datetime
    last_seen_at: datetime


class ToolExamples:
    """Examples of a tenant's tools. What changes them says so to who works out their effect: see `tool_learning`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, tenant_id: int, tool_id: int) -> tuple[ToolExample, ...]:
        """The examples of a tool, those of people first."""
        rows = await self._database.fetch("examples_of_tool", tenant_id, tool_id)
        return tuple(ToolExample(**row) for row in rows)

    async def add(self, tenant_id: int, tool_id: int, text: str) -> int:
        """An admin's example; returns its id, which may be that of one that is the same. Raises InvalidInputError, and
        NotFoundError where there is no such tool.
        """
        cleaned = check_text(text)
        async with self._database.tenant_transaction(tenant_id) as transaction:
            if not await transaction.execute("touch_learning", tenant_id, [tool_id]):
                raise NotFoundError(f"There is no tool {tool_id} in this tenant.")
            example_id: int = await transaction.fetchval(
                "upsert_admin_example", tenant_id, tool_id, cleaned, text_key(cleaned)
            )
            await self._make_room(transaction, tenant_id, tool_id)
        return example_id

    async def remove(self, tenant_id: int, tool_id: int, example_id: int) -> None:
        """An example has no effect from the next search on; one that no admin gave is not learnt again, either. Raises
        NotFoundError.
        """
        async with self._database.tenant_transaction(tenant_id) as transaction:
            if await transaction.fetchval("remove_example", tenant_id, tool_id, example_id) is None:
                raise NotFoundError(f"There is no example {example_id} of this tool.")
            await self.clear_effect(transaction, tenant_id, [tool_id])

    async def approve(self, tenant_id: int, tool_id: int, example_id: int) -> None:
        """An example has effect as if an admin had given it. Raises NotFoundError."""
        async with self._database.tenant_transaction(tenant_id) as transaction:
            if not await transaction.execute("approve_example", tenant_id, tool_id, example_id):
                raise NotFoundError(f"No example {example_id} of this tool waits for approval.")
            await transaction.execute("touch_learning", tenant_id, [tool_id])

    async def clear_effect(self, transaction: DatabaseConnection, tenant_id: int, tool_ids: Collection[int]) -> None:
        """Nothing that was learnt of these tools has effect, from commit on until it is worked out anew."""
        await transaction.execute("touch_learning", tenant_id, list(tool_ids))
        if await transaction.execute("clear_learnt", tenant_id, list(tool_ids)):
            await transaction.execute("bump_catalogue_version", tenant_id)

    async def _make_room(self, transaction: DatabaseConnection, tenant_id: int, tool_id: int) -> None:
        await transaction.execute("drop_least_examples", tenant_id, [tool_id], MAX_EXAMPLES)
        if await transaction.fetchval("count_examples", tenant_id, tool_id) > MAX_EXAMPLES:
            raise InvalidInputError(
                f"This tool has {MAX_EXAMPLES} examples already; remove one to add another.", "text"
            )
