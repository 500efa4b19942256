"""Writing the audit log beside the calls, and what becomes of it when that fails."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import asyncpg
import pytest

from gateway.access.caller import Caller
from gateway.audit.events import AuditEvent
from gateway.audit.recorder import AuditRecorder
from gateway.components import Components
from gateway.database.actor import Actor
from gateway.database.pool import open_database
from gateway.errors import AuditUnavailableError
from gateway.settings import AuditSettings, Settings
from tests.support.audit import audit_rows, default_tenant_id, tool_use
from tests.support.gateway import RunningGateway, add_local_mcp
from tests.support.waiting import until


async def test_months_past_their_time_are_dropped_and_no_others(settings: Settings) -> None:
    async with open_database(settings) as database:
        old = datetime.now(timezone.utc) - timedelta(days=800)
        async with AuditRecorder(database, AuditSettings(retention_days=0)) as recorder:
            recorder.record(replace(tool_use(1), at=old.timestamp()))
            recorder.record(tool_use(2))
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
                recorder.record(tool_use(number))
        since = datetime.now(timezone.utc) - timedelta(hours=1)
        row = await database.fetchrow("usage_totals", 1, since)
        assert row is not None
        assert row["calls"] == 2_345


async def test_while_the_audit_log_cannot_be_written_calls_go_on_and_it_is_said(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    parts = gateway.parts
    await add_local_mcp(parts, tmp_path)
    tenant = await default_tenant_id(parts.database)
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
            recorder.record(tool_use(number))
        state = recorder.state()
        assert (state.ready, state.waiting, state.dropped) == (False, 2, 3)
        with pytest.raises(AuditUnavailableError):
            recorder.require_writable()
        AuditRecorder(database, AuditSettings(queue_events=1)).require_writable()


async def test_an_event_that_cannot_be_written_does_not_hold_up_the_others(settings: Settings) -> None:
    async with open_database(settings) as database:
        async with AuditRecorder(database, AuditSettings()) as recorder:
            recorder.record(tool_use(1))
            recorder.record(replace(tool_use(2), tool_id=2**70))
            recorder.record(tool_use(3))
            rows = await audit_rows(database, wanted=2)
        assert [row["target"] for row in rows] == ["tool 3", "tool 1"]
        assert recorder.state().dropped == 1


async def test_a_query_can_be_kept_as_a_hash_only(settings: Settings) -> None:
    async with open_database(settings) as database:
        async with AuditRecorder(database, AuditSettings(queries="hash")) as recorder:
            recorder.record(replace(tool_use(1), kind="search", target="who earns how much"))
        (row,) = await audit_rows(database)
        assert "earns" not in json.dumps(dict(row), default=str)
        assert row["target"] == row["details"]["query_hash"]


async def test_an_event_keeps_what_the_database_does_not_see(parts: Components) -> None:
    parts.recorder.record(AuditEvent(Actor("admin", "eve", address="::1"), "sign-in.failed", "eve", "denied"))
    (row,) = await audit_rows(parts.database, action="sign-in", tenant=0)
    assert (row["actor_name"], row["outcome"]) == ("eve", "denied")


async def test_names_that_no_database_takes_keep_nothing_out_of_the_audit_log(settings: Settings) -> None:
    odd = "a\x00b\ud800c"
    async with open_database(settings) as database:
        async with AuditRecorder(database, AuditSettings(fail_closed=True)) as recorder:
            use = tool_use(1)
            caller = Caller(1, 5, odd, (1,), address=odd)
            recorder.record(replace(use, caller=caller, target=odd, error=odd, arguments={odd: odd}))
            actor = Actor("admin", odd, roles=(odd,), address=odd)
            event = AuditEvent(actor, "tool.tried", odd, "ok", 1, details={odd: [odd]}, arguments={odd: odd})
            await recorder.record_durably(event)
            assert recorder.state().dropped == 0
        rows = await audit_rows(database, wanted=2)
        assert {row["actor_name"] for row in rows} == {"a\N{REPLACEMENT CHARACTER}b?c"}


async def test_what_could_not_be_written_durably_is_said_and_given_up(settings: Settings) -> None:
    async with open_database(settings) as database:
        connection = await asyncpg.connect(database.url)
        async with AuditRecorder(database, AuditSettings(fail_closed=True)) as recorder:
            await recorder.record_durably(tool_use(1))
            await connection.execute("ALTER TABLE tool_calls RENAME TO tool_calls_away")
            with pytest.raises(AuditUnavailableError):
                await recorder.record_durably(tool_use(2))
            with pytest.raises(AuditUnavailableError):
                recorder.require_writable()
            await connection.execute("ALTER TABLE tool_calls_away RENAME TO tool_calls")
            # It finds out by itself, with nothing left to write.
            await until(lambda: recorder.state().ready)
            await recorder.record_durably(tool_use(3))
        await connection.close()
        assert [row["target"] for row in await audit_rows(database, wanted=2)] == ["tool 3", "tool 1"]


async def test_what_cannot_be_written_as_it_is_is_refused_where_it_has_to_be_written(settings: Settings) -> None:
    async with (
        open_database(settings) as database,
        AuditRecorder(database, AuditSettings(fail_closed=True)) as recorder,
    ):
        with pytest.raises(AuditUnavailableError):
            await recorder.record_durably(replace(tool_use(2), tool_id=2**70))
        assert not recorder.state().ready
