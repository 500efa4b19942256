"""Syncs through the REST API."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway, add_local_mcp


async def _events(person: Person, path: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    async with person.http.stream("GET", f"/api/v1{path}") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
    return told


async def test_a_sync_runs_in_the_background_and_is_followed_to_its_outcome(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    server_id = await add_local_mcp(gateway.parts, tmp_path, sync=False)
    started = await admin.post(f"/servers/{server_id}/sync")
    assert (started.status_code, started.json()["state"]) == (202, "running")
    *told, end = await _events(admin, f"/servers/{server_id}/sync/events")
    assert end == {}
    # Whoever follows may miss states in between, never the last.
    assert told[-1]["state"] == "done"
    assert {job["state"] for job in told[:-1]} <= {"running"}
    # A server that takes its time to start says so in between.
    steps = [job["step"] for job in told if job["step"] != "start"]
    assert steps == sorted(steps, key=["waiting", "list", "compare", "embed", "store", "done"].index)
    assert len(told[-1]["outcome"]["added"]) == 4
    assert (await admin.get(f"/servers/{server_id}/sync")).json() == told[-1]
    assert (await admin.get("/tools")).json()["total"] == 4


async def test_a_second_start_joins_the_sync_that_runs(gateway: RunningGateway, admin: Person, tmp_path: Path) -> None:
    server_id = await add_local_mcp(gateway.parts, tmp_path, sync=False)
    answers = await asyncio.gather(*(admin.post(f"/servers/{server_id}/sync") for _ in range(5)))
    assert len({answer.json()["started_at"] for answer in answers}) == 1
    *_, last, _ = await _events(admin, f"/servers/{server_id}/sync/events")
    assert last["state"] == "done"


async def test_a_sync_that_fails_says_why(admin: Person) -> None:
    server = {"name": "Gone", "transport": "http", "url": "http://127.0.0.1:9/mcp"}
    server_id = (await admin.post("/servers", server)).json()["card"]["id"]
    await admin.post(f"/servers/{server_id}/sync")
    *_, last, _ = await _events(admin, f"/servers/{server_id}/sync/events")
    assert last["state"] == "failed"
    assert "Gone" in last["error"]
    assert (await admin.get("/servers")).json()[0]["state"] == "failing"


async def test_all_servers_are_synced_and_followed_together(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    for name in ("One", "Two"):
        await add_local_mcp(gateway.parts, tmp_path, name=name, sync=False)
    off = await add_local_mcp(gateway.parts, tmp_path, name="Off", sync=False)
    await admin.post(f"/servers/{off}/disable")
    jobs = (await admin.post("/sync")).json()
    assert [job["server"] for job in jobs] == ["One", "Two"]
    *told, _ = await _events(admin, "/sync/events")
    assert {job["server"] for job in told if job["state"] == "done"} == {"One", "Two"}


async def test_a_sync_that_was_never_started_is_not_there(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    server_id = await add_local_mcp(gateway.parts, tmp_path, sync=False)
    assert (await admin.get(f"/servers/{server_id}/sync")).status_code == 404
    assert (await admin.get(f"/servers/{server_id}/sync/events")).status_code == 404
    assert (await admin.post("/servers/4711/sync")).status_code == 404
