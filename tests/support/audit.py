"""The audit log, as tests write and read it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from gateway.access.caller import Caller
from gateway.access.tenants import tenant_by_slug
from gateway.audit.events import ToolUse
from gateway.database.pool import Database
from tests.support.waiting import until


async def audit_rows(database: Database, *, action: str = "", tenant: int = 1, wanted: int = 1) -> list[Any]:
    """The newest rows of the audit log whose action begins so, as soon as there are as many as wanted."""
    rows: list[Any] = []

    async def came() -> bool:
        rows[:] = await database.fetch("audit_page", tenant, None, None, None, action, None, None, 100)
        return len(rows) >= wanted

    await until(came)
    return rows


async def default_tenant_id(database: Database) -> int:
    return (await tenant_by_slug(database)).id


def tool_use(number: int) -> ToolUse:
    """A call that was just made."""
    caller = Caller(1, 5, "key five", (1,), address="10.1.1.1")
    now = datetime.now(timezone.utc).timestamp()
    return ToolUse("call", caller, f"tool {number}", "ok", now, 1.5, arguments={"number": number})
