"""The trace and the use of tools through the REST API."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway, add_local_mcp


async def _until(person: Person, action: str, count: int) -> list[dict[str, Any]]:
    """Rows of the trace, which is written beside the requests."""
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        rows = (await person.get("/audit", action=action)).json()["items"]
    return rows


async def test_changes_are_in_the_trace_with_who_made_them(admin: Person) -> None:
    await admin.post("/roles", {"name": "ops"})
    [row] = await _until(admin, "role.added", 1)
    assert (row["actor_kind"], row["actor_name"], row["target"]) == ("admin", "ada", "ops")
    assert row["address"] == "127.0.0.1"


async def test_the_trace_is_paged_and_exported(gateway: RunningGateway, admin: Person) -> None:
    for number in range(5):
        await admin.post("/roles", {"name": f"role {number}"})
    page = (await admin.get("/audit", action="role.added", limit=2)).json()
    seen = [row["target"] for row in page["items"]]
    while page["next"]:
        page = (await admin.get("/audit", action="role.added", limit=2, cursor=page["next"])).json()
        seen += [row["target"] for row in page["items"]]
    assert seen == [f"role {number}" for number in reversed(range(5))]
    lines = (await admin.get("/audit/export")).text.splitlines()
    assert {json.loads(line)["target"] for line in lines} >= set(seen)
    table = await admin.get("/audit/export", format="csv")
    assert "attachment" in table.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert {row["target"] for row in rows} >= set(seen)
    assert (await admin.get("/audit", cursor="nonsense")).json()["field"] == "cursor"


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
    assert usage["tokens_saved"] > 0
    tool_id = usage["top_tools"][0]["tool_id"]
    calls = (await admin.get(f"/tools/{tool_id}/calls")).json()
    assert [(call["key_name"], call["outcome"]) for call in calls] == [("test", "ok")]


async def test_an_empty_gateway_has_an_overview(viewer: Person) -> None:
    for span in ("1h", "24h", "30d"):
        usage = (await viewer.get("/usage", span=span)).json()
        assert usage["totals"]["calls"] == 0
        assert usage["totals"]["call_p95_ms"] is None
    assert (await viewer.get("/overview")).json()["tools"] == 0
    assert (await viewer.get("/map")).json()["points"] == []
    assert (await viewer.get("/embedding")).json()["embedder"]["ok"]
