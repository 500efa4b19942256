"""Terms of tools in the database: written at each sync, and made anew where they were made by older rules."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from gateway.catalog.terms import TERMS_VERSION
from gateway.catalog.text import ToolTexts, build_tool_texts
from gateway.catalog.tool import stored_definition
from gateway.database.connection import DatabaseConnection, Row
from gateway.database.pool import Database
from gateway.errors import ModelGateError

logger = logging.getLogger(__name__)

_BATCH_SIZE = 200
_RETRY_SECONDS = 5.0


async def store_terms(transaction: DatabaseConnection, tenant_id: int, texts: Mapping[int, ToolTexts]) -> None:
    """Write the terms of each tool in `texts` (by tool id), in place of those that it had."""
    counted = [(tool_id, term, count) for tool_id, of_tool in texts.items() for term, count in of_tool.terms.items()]
    await transaction.execute("delete_terms", tenant_id, list(texts))
    await transaction.execute(
        "insert_terms",
        tenant_id,
        [tool_id for tool_id, _, _ in counted],
        [term for _, term, _ in counted],
        [count for _, _, count in counted],
    )
    await transaction.execute("update_term_counts", tenant_id, list(texts), TERMS_VERSION)


class TermRenewal:
    """Makes terms anew that an earlier version of the gateway stored."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Until all are those of this version; a database that is down is tried again later."""
        while True:
            try:
                renewed = await self.renew()
            except ModelGateError as error:
                logger.info("Terms of an earlier version stay for the moment: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if renewed:
                logger.info("Made the terms of %d tools anew.", renewed)
            return

    async def renew(self) -> int:
        """Make them anew, some at a time, each time in a transaction; returns how many."""
        renewed = 0
        while rows := await self._database.fetch("tools_with_old_terms", TERMS_VERSION, _BATCH_SIZE):
            by_tenant: dict[int, list[Row]] = {}
            for row in rows:
                by_tenant.setdefault(row["tenant_id"], []).append(row)
            for tenant_id, of_tenant in by_tenant.items():
                await self._renew(tenant_id, of_tenant)
            renewed += len(rows)
        return renewed

    async def _renew(self, tenant_id: int, rows: list[Row]) -> None:
        # Texts may be long, and searches go on meanwhile.
        texts = await asyncio.to_thread(_build_texts, rows)
        async with self._database.tenant_transaction(tenant_id) as transaction:
            # A sync may have changed a tool meanwhile, and has then written its terms itself.
            unchanged = await transaction.fetch(
                "lock_unchanged_tools",
                tenant_id,
                list(texts),
                [row["content_hash"] for row in rows],
                [row["override_version"] for row in rows],
            )
            await store_terms(transaction, tenant_id, {row["id"]: texts[row["id"]] for row in unchanged})
            await transaction.execute("bump_catalogue_version", tenant_id)


def _build_texts(rows: list[Row]) -> dict[int, ToolTexts]:
    return {row["id"]: build_tool_texts(row["server_name"], stored_definition(row)) for row in rows}
