"""What the statements of use count."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from gateway.access.caller import Caller
from gateway.access.tool_names import tool_by_name
from gateway.components import Components
from tests.support.audit import audit_rows, default_tenant_id, tool_use
from tests.support.gateway import add_local_mcp


async def test_usage_is_summed_up_for_the_overview(parts: Components, tmp_path: Path) -> None:
    server = await add_local_mcp(parts, tmp_path)
    tenant = await default_tenant_id(parts.database)
    tool = await tool_by_name(parts.database, tenant, "local_mcp__calculator")
    caller = Caller(tenant, 1, "k", (1,))
    for number in range(1, 101):
        outcome: Any = "ok" if number > 10 else "failed"
        parts.recorder.record(
            replace(
                tool_use(number), caller=caller, server_id=server, tool_id=tool.id, duration_ms=number, outcome=outcome
            )
        )
    await audit_rows(parts.database, tenant=tenant, action="tool.call", wanted=100)
    since = datetime.now(timezone.utc) - timedelta(hours=1)
    totals = await parts.database.fetchrow("usage_totals", tenant, since)
    assert totals is not None
    assert (totals["calls"], totals["call_errors"], totals["searches"]) == (100, 10, 0)
    assert totals["call_p50_ms"] == pytest.approx(50.5)
    (top,) = await parts.database.fetch("top_tools", tenant, since, 10)
    assert (top["exposed_name"], top["calls"], top["errors"]) == ("local_mcp__calculator", 100, 10)
    (bucket, *_) = await parts.database.fetch("usage_over_time", tenant, since, timedelta(hours=2))
    assert bucket["calls"] == 100
