"""The audit log, as calls and searches of real clients and changes by real means leave it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.access.caller import Caller, Limits
from gateway.access.roles import create_role
from gateway.access.tenants import tenant_by_slug
from gateway.access.tool_names import tool_by_name
from gateway.app import Components
from gateway.audit.events import AuditEvent, ToolUse
from gateway.audit.recorder import AuditRecorder
from gateway.catalog.new_server import NewServer
from gateway.database.actor import Actor, acting_as
from gateway.database.pool import Database, open_database
from gateway.errors import AuditUnavailableError
from gateway.settings import AuditSettings, Settings
from tests.support.gateway import RunningGateway, add_local_mcp


async def audit_rows(database: Database, *, action: str = "", tenant: int = 1, wanted: int = 1) -> list[Any]:
    """The newest rows of the audit log whose action begins so, as soon as there are as many as wanted."""
    for _ in range(200):
        rows = await database.fetch("audit_page", tenant, None, None, None, action, None, None, 100)
        if len(rows) >= wanted:
            return rows
        await asyncio.sleep(0.05)
    raise AssertionError(f"only {len(rows)} of {wanted} rows came")


async def tenant_id(parts: Components) -> int:
    return (await tenant_by_slug(parts.database)).id


async def test_a_call_leaves_who_what_how_and_how_long(gateway: RunningGateway, tmp_path: Path) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    await gateway.call("local_mcp__calculator", {"expression": "6*7", "password": "hunter2"})
    (row,) = await audit_rows(gateway.parts.database, action="tool.call", tenant=await tenant_id(gateway.parts))
    assert (row["actor_kind"], row["actor_name"], row["roles"], row["address"]) == ("key", "test", ["all"], "127.0.0.1")
    assert (row["target"], row["outcome"]) == ("local_mcp__calculator", "ok")
    assert row["duration_ms"] > 0
    assert row["details"]["arguments"] == {"expression": "6*7", "password": "********"}


@pytest.mark.parametrize("odd", ["NaN", "1e400", "[" * 500 + "]" * 500])
async def test_no_arguments_keep_a_call_out_of_the_trace(gateway: RunningGateway, tmp_path: Path, odd: str) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    body = (
        '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", '
        f'"params": {{"name": "local_mcp__calculator", "arguments": {{"expression": {odd}}}}}}}'
    )
    response = await gateway.post(body.encode())
    assert response.json()["error"]["code"] == -32602
    assert "cannot be passed on" in response.json()["error"]["message"]
    await gateway.call("local_mcp__calculator", {"expression": "6*7"})
    rows = await audit_rows(gateway.parts.database, action="tool.call", tenant=await tenant_id(gateway.parts), wanted=2)
    assert [row["outcome"] for row in rows] == ["ok", "failed"]


async def test_a_search_leaves_its_query_and_what_it_found(gateway: RunningGateway, tmp_path: Path) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    await gateway.call("tool_search", {"query": "calculate math expressions"})
    await gateway.call("tool_search", {"query": "zzz qqq"})
    tenant = await tenant_id(gateway.parts)
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
    tenant = await tenant_id(parts)
    await create_role(parts.database, tenant, "nothing")
    key = (await parts.keys.create(tenant, "denied", ["nothing"])).key
    for name in ("local_mcp__calculator", "local_mcp/calculator", "no_such_tool"):
        answer = await gateway.request("tools/call", {"name": name, "arguments": {}}, **{"X-API-Key": key})
        assert "There is no tool" in answer["error"]["message"]
    rows = await audit_rows(parts.database, action="tool.call", tenant=tenant, wanted=3)
    assert [row["outcome"] for row in reversed(rows)] == ["denied", "denied", "unknown"]


async def test_a_request_over_the_limit_of_its_key_leaves_a_denial(gateway: RunningGateway) -> None:
    tenant = await tenant_id(gateway.parts)
    limits = Limits(requests_per_minute=1)
    key = (await gateway.parts.keys.create(tenant, "eager", ["all"], limits=limits)).key
    for status in (200, 429):
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        assert (await gateway.post(ping, **{"X-API-Key": key})).status_code == status
    rows = await audit_rows(gateway.parts.database, action="access.refused", tenant=0)
    assert (rows[0]["target"], rows[0]["outcome"]) == ("key eager", "denied")


async def test_a_refused_key_leaves_a_denial_without_the_key(gateway: RunningGateway) -> None:
    key = f"mg_{'0' * 64}"
    for _ in range(30):
        assert (await gateway.post({}, **{"X-API-Key": key})).status_code == 401
    rows = await audit_rows(gateway.parts.database, action="access.refused", tenant=0, wanted=20)
    assert len(rows) == 20
    assert rows[0]["outcome"] == "denied"
    assert "unknown" in rows[0]["details"]["reason"]
    assert key not in str([dict(row) for row in rows])


async def test_every_change_is_traced_with_who_made_it_and_without_its_secrets(parts: Components) -> None:
    tenant = await tenant_id(parts)
    with acting_as(Actor("admin", "ada", 7, ("admin",), "10.0.0.1")):
        await parts.servers.add(
            tenant,
            NewServer(
                "Docs",
                "http",
                url="https://user:pw@docs.example/mcp?key=s3cret",
                headers={"Authorization": "Bearer s3cret"},
            ),
        )
        await parts.keys.create(tenant, "laptop", ["all"])
        await create_role(parts.database, tenant, "reader")
    rows = await audit_rows(parts.database, tenant=tenant)
    by_action = {row["action"]: row for row in rows}
    assert {"server.added", "key.added", "key role.added", "role.added"} <= set(by_action)
    added = by_action["server.added"]
    assert (added["actor_kind"], added["actor_id"], added["actor_name"]) == ("admin", 7, "ada")
    assert (added["roles"], added["address"], added["target"]) == (["admin"], "10.0.0.1", "Docs")
    assert added["details"]["url"] == "https://docs.example/mcp"
    assert "s3cret" not in str([dict(row) for row in rows])
    assert by_action["key.added"]["details"]["hash"] == "********"


async def test_a_connection_forgets_who_acted_through_it(parts: Components) -> None:
    tenant = await tenant_id(parts)
    # More at once than there are connections: every one of them was hers.
    with acting_as(Actor("admin", "ada")):
        await asyncio.gather(*(create_role(parts.database, tenant, f"hers-{number}") for number in range(20)))
    await asyncio.gather(*(create_role(parts.database, tenant, f"own-{number}") for number in range(20)))
    rows = await audit_rows(parts.database, action="role.added", tenant=tenant, wanted=40)
    assert {(row["target"].split("-")[0], row["actor_name"]) for row in rows} == {("hers", "ada"), ("own", "gateway")}


async def test_a_change_without_a_person_is_the_gateways_own(parts: Components) -> None:
    tenant = await tenant_id(parts)
    await create_role(parts.database, tenant, "reader")
    (row,) = await audit_rows(parts.database, action="role.added", tenant=tenant)
    assert row["actor_kind"] == "gateway"


async def test_a_sync_that_changes_nothing_of_a_server_is_no_change(parts: Components, tmp_path: Path) -> None:
    server = await add_local_mcp(parts, tmp_path)
    tenant = await tenant_id(parts)
    await parts.sync.run(tenant, server)
    assert not await parts.database.fetch("audit_page", tenant, None, None, None, "server.changed", None, None, 10)


@pytest.mark.parametrize("table", ["tool_calls", "audit_log"])
async def test_the_trace_can_only_be_added_to(parts: Components, table: str) -> None:
    await create_role(parts.database, await tenant_id(parts), "reader")
    parts.recorder.record(use(1))
    await audit_rows(parts.database, action="tool.call", tenant=1)
    connection = await asyncpg.connect(parts.database.url)
    month = f"{table}_{datetime.now(timezone.utc):%Y_%m}"
    try:
        for statement in (
            f"UPDATE {table} SET target = 'x'",
            f"DELETE FROM {table}",
            f"DELETE FROM {month}",
            f"TRUNCATE {table}",
            f"TRUNCATE {month}",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_months_past_their_time_are_dropped_and_no_others(settings: Settings) -> None:
    async with open_database(settings) as database:
        old = datetime.now(timezone.utc) - timedelta(days=800)
        async with AuditRecorder(database, AuditSettings(retention_days=0)) as recorder:
            recorder.record(replace(use(1), at=old.timestamp()))
            recorder.record(use(2))
            assert len(await audit_rows(database, wanted=2)) == 2
            await recorder.maintain_partitions()
            assert len(await audit_rows(database, wanted=2)) == 2
        async with AuditRecorder(database, AuditSettings(retention_days=365)) as recorder:
            await recorder.maintain_partitions()
        assert [row["target"] for row in await audit_rows(database)] == ["tool 2"]


async def test_nothing_is_lost_on_a_clean_stop(settings: Settings) -> None:
    async with open_database(settings) as database:
        async with AuditRecorder(database, AuditSettings()) as recorder:
            for number in range(2_345):
                recorder.record(use(number))
        since = datetime.now(timezone.utc) - timedelta(hours=1)
        row = await database.fetchrow("usage_totals", 1, since)
        assert row is not None
        assert row["calls"] == 2_345


async def test_while_the_trace_cannot_be_written_calls_go_on_and_it_is_said(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    parts = gateway.parts
    await add_local_mcp(parts, tmp_path)
    tenant = await tenant_id(parts)
    connection = await asyncpg.connect(parts.database.url)
    try:
        await connection.execute("ALTER TABLE tool_calls RENAME TO tool_calls_away")
        assert not (await gateway.call("local_mcp__calculator", {"expression": "1+1"}))["isError"]
        for _ in range(200):
            audit = (await gateway.http.get("/ready")).json()["parts"]["audit"]
            if not audit["ready"]:
                break
            await asyncio.sleep(0.05)
        assert not audit["ready"]
        assert "cannot be written" in audit["detail"]
        assert not (await gateway.call("local_mcp__calculator", {"expression": "2+2"}))["isError"]
        await connection.execute("ALTER TABLE tool_calls_away RENAME TO tool_calls")
    finally:
        await connection.close()
    assert len(await audit_rows(parts.database, action="tool.call", tenant=tenant, wanted=2)) == 2
    assert (await gateway.http.get("/ready")).json()["parts"]["audit"]["ready"]


async def test_events_beyond_what_may_wait_are_counted_and_fail_closed_refuses(settings: Settings) -> None:
    async with open_database(settings) as database:
        recorder = AuditRecorder(database, AuditSettings(queue_events=2, fail_closed=True))
        recorder.require_writable()
        for number in range(5):
            recorder.record(use(number))
        state = recorder.state()
        assert (state.ready, state.waiting, state.dropped) == (False, 2, 3)
        with pytest.raises(AuditUnavailableError):
            recorder.require_writable()
        AuditRecorder(database, AuditSettings(queue_events=1)).require_writable()


async def test_an_event_that_cannot_be_written_does_not_hold_up_the_others(settings: Settings) -> None:
    async with open_database(settings) as database:
        async with AuditRecorder(database, AuditSettings()) as recorder:
            recorder.record(use(1))
            recorder.record(replace(use(2), tool_id=2**70))
            recorder.record(use(3))
            rows = await audit_rows(database, wanted=2)
        assert [row["target"] for row in rows] == ["tool 3", "tool 1"]
        assert recorder.state().dropped == 1


async def test_a_query_can_be_kept_as_a_hash_only(settings: Settings) -> None:
    async with open_database(settings) as database:
        async with AuditRecorder(database, AuditSettings(queries="hash")) as recorder:
            recorder.record(replace(use(1), kind="search", target="who earns how much"))
        (row,) = await audit_rows(database)
        assert "earns" not in json.dumps(dict(row), default=str)
        assert row["target"] == row["details"]["query_hash"]


async def test_a_deed_keeps_what_the_database_does_not_see(parts: Components) -> None:
    parts.recorder.record(AuditEvent(Actor("admin", "eve", address="::1"), "sign-in.failed", "eve", "denied"))
    (row,) = await audit_rows(parts.database, action="sign-in", tenant=0)
    assert (row["actor_name"], row["outcome"]) == ("eve", "denied")


async def test_usage_is_summed_up_for_the_overview(parts: Components, tmp_path: Path) -> None:
    server = await add_local_mcp(parts, tmp_path)
    tenant = await tenant_id(parts)
    tool = await tool_by_name(parts.database, tenant, "local_mcp__calculator")
    caller = Caller(tenant, 1, "k", (1,))
    for number in range(1, 101):
        outcome: Any = "ok" if number > 10 else "failed"
        parts.recorder.record(
            replace(use(number), caller=caller, server_id=server, tool_id=tool.id, duration_ms=number, outcome=outcome)
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


def use(number: int) -> ToolUse:
    caller = Caller(1, 5, "key five", (1,), address="10.1.1.1")
    now = datetime.now(timezone.utc).timestamp()
    return ToolUse("call", caller, f"tool {number}", "ok", now, 1.5, arguments={"number": number})
