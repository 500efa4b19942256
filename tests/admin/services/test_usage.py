"""The use of tools through the REST API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway, add_local_mcp
from tests.support.listed import add_listed, tool


async def _until(person: Person, action: str, count: int) -> list[dict[str, Any]]:
    """Rows of the audit log, which is written beside the requests."""
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        rows = (await person.get("/audit", action=action)).json()["items"]
    return rows


async def test_usage_counts_calls_searches_and_what_people_miss(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    await gateway.call("tool_search", {"query": "calculate math expressions"})
    await gateway.call("tool_search", {"query": "xylophone zzqy"})
    await gateway.call("local_mcp__calculator", {"expression": "1+1"})
    await _until(admin, "tool.search", 2)
    await _until(admin, "tool.call", 1)
    usage = (await admin.get("/usage", span="1h")).json()
    assert (usage["totals"]["calls"], usage["totals"]["searches"]) == (1, 2)
    assert usage["totals"]["call_p95_ms"] > 0
    assert len(usage["steps"]) == 60
    assert sum(step["searches"] for step in usage["steps"]) == 2
    assert [tool["exposed_name"] for tool in usage["top_tools"]] == ["local_mcp__calculator"]
    assert [missed["query"] for missed in usage["missed"]] == ["xylophone zzqy"]
    assert usage["unused_count"] == 3
    # Four short tools listed once would not have cost more than what two searches answered.
    assert (usage["tokens_saved"], usage["sessions"]) == (0, 1)
    tool_id = usage["top_tools"][0]["tool_id"]
    calls = (await admin.get(f"/tools/{tool_id}/calls")).json()
    assert [(call["key_name"], call["outcome"]) for call in calls] == [("test", "ok")]


async def test_what_a_listing_would_have_cost_is_counted_once_a_session(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    tools = [tool(f"read_ledger_{number}", "Reads a ledger. " + "Nothing else of use. " * 100) for number in range(40)]
    await add_listed(gateway.parts, tmp_path, *tools)
    saved = []
    for count in (1, 2):
        await gateway.call("tool_search", {"query": "read the ledger"})
        await _until(admin, "tool.search", count)
        saved.append((await admin.get("/usage", span="1h")).json()["tokens_saved"])
    assert saved[0] > 10_000
    assert saved[1] < saved[0]
