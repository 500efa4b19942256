"""Servers are looked after: what came of it stands on their records."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.servers.server_record import ServerRecord
from gateway.catalog.servers.tuning import Tuning
from gateway.catalog.sync.health_check import HealthChecks
from gateway.catalog.sync.server_sync import SyncProgress
from gateway.components import Components
from gateway.errors import InvalidInputError, UpstreamError
from gateway.settings import UpstreamSettings
from tests.support.gateway import add_local_mcp
from tests.support.waiting import until as happens
from tests.upstream.package_runner import runner

RAW = Path(__file__).parents[2] / "upstream" / "servers" / "raw.py"


@pytest.fixture
async def health(parts: Components) -> AsyncIterator[HealthChecks]:
    kept = HealthChecks(parts.database, parts.servers, parts.pool, parts.sync, parts.settings.upstream, parts.notices)
    yield kept
    await kept.aclose()


@pytest.fixture
async def tenant_id(parts: Components) -> int:
    return (await tenant_by_slug(parts.database)).id


async def add_raw(parts: Components, tenant_id: int, name: str, mode: str = "handshake") -> int:
    args = ("-I", "-S", str(RAW), mode)
    return await parts.servers.add(tenant_id, ServerDefinition(name, "stdio", command=sys.executable, args=args))


async def record(parts: Components, tenant_id: int, name: str) -> ServerRecord:
    return await parts.servers.get_by_name(tenant_id, name)


async def until(parts: Components, tenant_id: int, name: str, **expected: Any) -> ServerRecord:
    with anyio.fail_after(20):
        while True:
            found = await record(parts, tenant_id, name)
            if all(getattr(found, key) == value for key, value in expected.items()):
                return found
            await anyio.sleep(0.02)


async def found_by_checks(
    parts: Components, tenant_id: int, checks: HealthChecks, name: str, **expected: Any
) -> ServerRecord:
    """The record once a check, made again and again, has found the server so."""
    with anyio.fail_after(20):
        while True:
            await checks.start_due_checks()
            found = await record(parts, tenant_id, name)
            if all(getattr(found, key) == value for key, value in expected.items()):
                return found
            await anyio.sleep(0.02)


async def changed(parts: Components, tenant_id: int, name: str, key: str, before: object) -> None:
    with anyio.fail_after(20):
        while True:
            if getattr(await record(parts, tenant_id, name), key) != before:
                return
            await anyio.sleep(0.02)


async def test_a_check_says_how_each_server_does(parts: Components, tenant_id: int, health: HealthChecks) -> None:
    await add_raw(parts, tenant_id, "Good")
    await add_raw(parts, tenant_id, "Bad", "exit")
    before = datetime.now(timezone.utc) - timedelta(seconds=5)
    await health.start_due_checks()
    good = await until(parts, tenant_id, "Good", health="connected")
    assert good.latency_ms is not None
    assert good.latency_ms > 0
    assert good.last_seen_at is not None
    assert good.last_seen_at > before
    assert good.last_error is None
    bad = await until(parts, tenant_id, "Bad", health="failing")
    assert bad.last_error is not None
    assert "exited with code 7" in bad.last_error
    assert bad.last_seen_at is None


async def test_a_server_that_is_being_installed_is_starting_and_says_what_it_does(
    parts: Components, tenant_id: int, tmp_path: Path, health: HealthChecks
) -> None:
    spec = runner(tmp_path)
    definition = ServerDefinition("Cold", "stdio", command=spec.command, args=spec.args)
    server_id = await parts.servers.add(tenant_id, definition)
    await parts.servers.set_tuning(tenant_id, server_id, Tuning(connect_timeout_seconds=1.0))
    said = {"health": "starting", "startup_line": "added 1 of 2 packages"}
    cold = await found_by_checks(parts, tenant_id, health, "Cold", **said)
    assert cold.last_error is None
    heard: list[SyncProgress] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(parts.sync.run, tenant_id, server_id, heard.append)
        await happens(lambda: SyncProgress("Cold", "start", detail="added 1 of 2 packages") in heard)
        (tmp_path / "go").touch()
    await found_by_checks(parts, tenant_id, health, "Cold", health="connected", startup_line=None)


async def test_a_server_that_hangs_holds_up_no_other(parts: Components, tenant_id: int, health: HealthChecks) -> None:
    await add_raw(parts, tenant_id, "Hangs", "silent")
    await add_raw(parts, tenant_id, "Good")
    await health.start_due_checks()
    await until(parts, tenant_id, "Good", health="connected")
    assert (await record(parts, tenant_id, "Hangs")).checked_at is None


async def test_a_server_that_is_switched_off_is_left_alone(
    parts: Components, tenant_id: int, health: HealthChecks
) -> None:
    off = await add_raw(parts, tenant_id, "Off")
    await parts.servers.set_enabled(tenant_id, off, False)
    await add_raw(parts, tenant_id, "On")
    await health.start_due_checks()
    await until(parts, tenant_id, "On", health="connected")
    assert (await record(parts, tenant_id, "Off")).checked_at is None
    assert parts.pool.status(off).state == "idle"


async def test_a_child_that_is_stopped_while_idle_is_not_started_for_a_check(
    parts: Components, tenant_id: int, health: HealthChecks
) -> None:
    server_id = await add_raw(parts, tenant_id, "Idle")
    await parts.servers.set_tuning(tenant_id, server_id, Tuning(idle_stop_seconds=60))
    await health.start_due_checks()
    await until(parts, tenant_id, "Idle", health="idle")
    assert parts.pool.status(server_id).state == "idle"


async def test_a_server_is_synced_again_when_it_is_due(
    parts: Components, tenant_id: int, tmp_path: Path, health: HealthChecks
) -> None:
    server_id = await add_local_mcp(parts, tmp_path)
    first = (await record(parts, tenant_id, "Local MCP")).synced_at
    await health.start_due_checks()
    await until(parts, tenant_id, "Local MCP", health="connected")
    assert (await record(parts, tenant_id, "Local MCP")).synced_at == first
    await parts.servers.set_tuning(tenant_id, server_id, Tuning(sync_every_seconds=0.001))
    await health.start_due_checks()
    await changed(parts, tenant_id, "Local MCP", "synced_at", first)


async def test_the_first_sync_is_made_by_hand(
    parts: Components, tenant_id: int, tmp_path: Path, health: HealthChecks
) -> None:
    server_id = await add_local_mcp(parts, tmp_path, sync=False)
    await parts.servers.set_tuning(tenant_id, server_id, Tuning(sync_every_seconds=0.001))
    await health.start_due_checks()
    found = await until(parts, tenant_id, "Local MCP", health="connected")
    assert found.synced_at is None


async def fails_first(parts: Components, tenant_id: int, tmp_path: Path, **tuning: Any) -> int:
    """A server whose command is not there yet, and whose first sync has failed for that."""
    command = tmp_path / "server"
    server_id = await parts.servers.add(tenant_id, ServerDefinition("Late", "stdio", command=str(command)))
    await parts.servers.set_tuning(tenant_id, server_id, Tuning(**tuning))
    with pytest.raises(UpstreamError):
        await parts.sync.run(tenant_id, server_id)
    return server_id


def bring_up(tmp_path: Path, mode: str = "handshake") -> None:
    command = tmp_path / "server"
    command.write_text(f"#!/bin/sh\nexec {sys.executable} -I -S {RAW} {mode}\n")
    command.chmod(0o755)


@pytest.mark.parametrize("tuning", [{}, {"idle_stop_seconds": 60}, {"sync_every_seconds": 0}])
async def test_a_failed_first_sync_is_made_again_once_the_server_is_healthy(
    parts: Components, tenant_id: int, tmp_path: Path, health: HealthChecks, tuning: dict[str, Any]
) -> None:
    await fails_first(parts, tenant_id, tmp_path, **tuning)
    await health.start_due_checks()
    assert (await until(parts, tenant_id, "Late", health="failing")).state == "failing"
    bring_up(tmp_path)
    await health.start_due_checks()
    found = await until(parts, tenant_id, "Late", state="synced", health="connected")
    assert (found.tool_count, found.sync_error, found.sync_failed_at, found.last_error) == (1, None, None, None)


async def test_a_failed_sync_is_made_again_after_a_restart_of_the_gateway(
    parts: Components, tenant_id: int, tmp_path: Path
) -> None:
    server_id = await fails_first(parts, tenant_id, tmp_path, idle_stop_seconds=60)
    await parts.pool.close_server(server_id)
    bring_up(tmp_path)
    anew = HealthChecks(parts.database, parts.servers, parts.pool, parts.sync, parts.settings.upstream, parts.notices)
    await anew.start_due_checks()
    await until(parts, tenant_id, "Late", state="synced")
    await anew.aclose()


async def test_a_later_sync_that_failed_is_made_again_too(
    parts: Components, tenant_id: int, tmp_path: Path, health: HealthChecks
) -> None:
    bring_up(tmp_path)
    definition = ServerDefinition("Late", "stdio", command=str(tmp_path / "server"))
    server_id = await parts.servers.add(tenant_id, definition)
    await parts.sync.run(tenant_id, server_id)
    await parts.pool.close_server(server_id)
    (tmp_path / "server").unlink()
    with pytest.raises(UpstreamError):
        await parts.sync.run(tenant_id, server_id)
    assert (await record(parts, tenant_id, "Late")).state == "failing"
    bring_up(tmp_path)
    await health.start_due_checks()
    await until(parts, tenant_id, "Late", state="synced", health="connected")


async def test_a_healthy_server_that_cannot_be_listed_is_not_asked_at_every_check(
    parts: Components, tenant_id: int, tmp_path: Path, health: HealthChecks
) -> None:
    await fails_first(parts, tenant_id, tmp_path)
    bring_up(tmp_path, "handshake tools-refused")
    before = (await record(parts, tenant_id, "Late")).sync_failed_at
    await health.start_due_checks()
    await changed(parts, tenant_id, "Late", "sync_failed_at", before)
    tried = await record(parts, tenant_id, "Late")
    await health.start_due_checks()
    await changed(parts, tenant_id, "Late", "checked_at", tried.checked_at)
    await health.aclose()
    assert (await record(parts, tenant_id, "Late")).sync_failed_at == tried.sync_failed_at


async def test_looking_goes_on_by_itself(parts: Components, tenant_id: int) -> None:
    await add_raw(parts, tenant_id, "Good")
    often: UpstreamSettings = replace(parts.settings.upstream, check_every_seconds=0.05)
    health = HealthChecks(parts.database, parts.servers, parts.pool, parts.sync, often, parts.notices)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(health.run)
        first = (await until(parts, tenant_id, "Good", health="connected")).checked_at
        await changed(parts, tenant_id, "Good", "checked_at", first)
        tasks.cancel_scope.cancel()


async def test_a_server_that_is_added_is_checked_before_the_next_round(parts: Components, tenant_id: int) -> None:
    rarely: UpstreamSettings = replace(parts.settings.upstream, check_every_seconds=3_600)
    health = HealthChecks(parts.database, parts.servers, parts.pool, parts.sync, rarely, parts.notices)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(health.run)
        await anyio.wait_all_tasks_blocked()
        await add_raw(parts, tenant_id, "Good")
        await until(parts, tenant_id, "Good", health="connected")
        tasks.cancel_scope.cancel()


async def test_a_changed_interval_counts_without_a_restart_and_without_checks(
    parts: Components, tenant_id: int, tmp_path: Path
) -> None:
    server_id = await add_local_mcp(parts, tmp_path)
    await parts.servers.set_tuning(tenant_id, server_id, Tuning(sync_every_seconds=0))
    first = (await record(parts, tenant_id, "Local MCP")).synced_at
    never = replace(parts.settings.upstream, check_every_seconds=0, sync_every_seconds=0)
    health = HealthChecks(parts.database, parts.servers, parts.pool, parts.sync, never, parts.notices)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(health.run)
        await anyio.wait_all_tasks_blocked()
        await parts.servers.set_tuning(tenant_id, server_id, Tuning(sync_every_seconds=0.2))
        await changed(parts, tenant_id, "Local MCP", "synced_at", first)
        second = (await record(parts, tenant_id, "Local MCP")).synced_at
        await changed(parts, tenant_id, "Local MCP", "synced_at", second)
        tasks.cancel_scope.cancel()
    assert (await record(parts, tenant_id, "Local MCP")).checked_at is None


async def test_how_a_server_is_used_can_be_tuned(parts: Components, tenant_id: int) -> None:
    server_id = await add_raw(parts, tenant_id, "Good")
    tuning = Tuning(call_timeout_seconds=5, max_calls_in_flight=2, session="per_client", idle_stop_seconds=9)
    await parts.servers.set_tuning(tenant_id, server_id, tuning)
    spec = await parts.servers.spec(tenant_id, server_id)
    assert (spec.call_timeout, spec.max_calls, spec.session, spec.idle_stop_seconds) == (5, 2, "per_client", 9)
    assert spec.list_timeout == parts.settings.upstream.list_timeout_seconds
    assert (await record(parts, tenant_id, "Good")).tuning == tuning


@pytest.mark.parametrize(
    "tuning",
    [
        Tuning(call_timeout_seconds=0),
        Tuning(call_timeout_seconds=float("nan")),
        Tuning(max_calls_in_flight=0),
        Tuning(idle_stop_seconds=-1),
        Tuning(sync_every_seconds=float("inf")),
    ],
)
async def test_tuning_that_cannot_be_is_refused(parts: Components, tenant_id: int, tuning: Tuning) -> None:
    server_id = await add_raw(parts, tenant_id, "Good")
    with pytest.raises(InvalidInputError, match="has to be from"):
        await parts.servers.set_tuning(tenant_id, server_id, tuning)
