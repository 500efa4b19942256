"""Calls and searches of real clients, as the audit log has them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from gateway.access.roles import create_role
from tests.support.audit import audit_rows, default_tenant_id
from tests.support.gateway import RunningGateway, add_local_mcp


async def test_a_call_leaves_who_what_how_and_how_long(gateway: RunningGateway, tmp_path: Path) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    await gateway.call("local_mcp__calculator", {"expression": "6*7", "password": "hunter2"})
    (row,) = await audit_rows(
        gateway.parts.database, action="tool.call", tenant=await default_tenant_id(gateway.parts.database)
    )
    assert (row["actor_kind"], row["actor_name"], row["roles"], row["address"]) == ("key", "test", ["all"], "127.0.0.1")
    assert (row["target"], row["outcome"]) == ("local_mcp__calculator", "ok")
    assert row["duration_ms"] > 0
    assert row["details"]["arguments"] == {"expression": "6*7", "password": "********"}


@pytest.mark.parametrize("odd", ["NaN", "1e400", "[" * 500 + "]" * 500])
async def test_no_arguments_keep_a_call_out_of_the_audit_log(gateway: RunningGateway, tmp_path: Path, odd: str) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    body = (
        '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", '
        f'"params": {{"name": "local_mcp__calculator", "arguments": {{"expression": {odd}}}}}}}'
    )
    result = (await gateway.post(body.encode())).json()["result"]
    assert result["isError"] is True
    assert "cannot be passed on" in result["content"][0]["text"]
    await gateway.call("local_mcp__calculator", {"expression": "6*7"})
    rows = await audit_rows(
        gateway.parts.database, action="tool.call", tenant=await default_tenant_id(gateway.parts.database), wanted=2
    )
    assert [row["outcome"] for row in rows] == ["ok", "tool error"]


async def test_a_search_leaves_its_query_and_what_it_found(gateway: RunningGateway, tmp_path: Path) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    await gateway.call("tool_search", {"query": "calculate math expressions"})
    await gateway.call("tool_search", {"query": "zzz qqq"})
    tenant = await default_tenant_id(gateway.parts.database)
    second, first = await audit_rows(gateway.parts.database, action="tool.search", tenant=tenant, wanted=2)
    assert (first["target"], first["outcome"], first["details"]["results"]) == ("calculate math expressions", "ok", 1)
    assert len(first["details"]["found"]) == 1
    assert (second["target"], second["details"]["results"]) == ("zzz qqq", 0)
    since = datetime.now(timezone.utc) - timedelta(hours=1)
    empty = await gateway.parts.database.fetch("queries_without_result", tenant, since, 10)
    assert [row["query"] for row in empty] == ["zzz qqq"]
    never = await gateway.parts.database.fetch("tools_never_found", tenant, since, 10)
    assert "local_mcp__calculator" not in {row["exposed_name"] for row in never}
    assert len(never) == never[0]["total"] == 3


async def test_a_denied_tool_is_told_from_one_that_is_not_there(gateway: RunningGateway, tmp_path: Path) -> None:
    parts = gateway.parts
    await add_local_mcp(parts, tmp_path)
    tenant = await default_tenant_id(parts.database)
    await create_role(parts.database, tenant, "nothing")
    key = (await parts.keys.create(tenant, "denied", ["nothing"])).key
    for name in ("local_mcp__calculator", "local_mcp/calculator", "no_such_tool"):
        answer = await gateway.request("tools/call", {"name": name, "arguments": {}}, **{"X-API-Key": key})
        assert "There is no tool" in answer["error"]["message"]
    rows = await audit_rows(parts.database, action="tool.call", tenant=tenant, wanted=3)
    assert [row["outcome"] for row in reversed(rows)] == ["denied", "denied", "unknown"]
