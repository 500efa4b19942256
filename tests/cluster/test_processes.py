"""Processes of a cluster that are killed, stopped and started anew, and what their clients notice of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import open_components
from gateway.settings import Settings
from tests.cli.process import CommandLine
from tests.cluster.replicas import ROOT, Replica, children_of, environment, is_there, replica
from tests.support.metrics import metric_at
from tests.support.rows import value
from tests.support.waiting import until

WAITING_SERVER = ROOT / "tests" / "doubles" / "waiting_server.py"
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
PING = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


async def prepare(settings: Settings, folder: Path) -> str:
    """A catalogue with the waiting server; returns a key."""
    arguments = (str(WAITING_SERVER), str(folder / "go"), str(folder / "started"))
    async with open_components(settings) as parts:
        server_id = await parts.servers.add(1, ServerDefinition("Waiting", "stdio", sys.executable, arguments))
        await parts.sync.run(1, server_id)
        return (await parts.keys.create(1, "test", ["all"])).key


async def started(folder: Path, calls: int) -> None:
    file = folder / "started"
    await until(lambda: file.exists() and file.read_text().count("\n") == calls)


def servers_of(gateway: Replica) -> set[int]:
    """The upstream servers that a gateway has started."""
    return children_of(gateway.process.pid, WAITING_SERVER.name)


def text(result: Any) -> str:
    said: str = result["content"][0]["text"]
    return said


async def test_when_an_owner_dies_or_stops_the_others_go_on(settings: Settings, tmp_path: Path) -> None:
    key = await prepare(settings, tmp_path)
    async with contextlib.AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(replica(settings, key)) for _ in range(2)]
        calling = asyncio.create_task(first.call("waiting__wait"))
        await started(tmp_path, 1)
        owner, other = (first, second) if servers_of(first) else (second, first)
        (child,) = servers_of(owner)
        assert not servers_of(other)
        if owner is first:
            through_other = asyncio.create_task(other.call("waiting__wait"))
            await started(tmp_path, 2)
        else:
            through_other = calling
        opened = await owner.post(INITIALIZE, **ACCEPT)
        session = {**ACCEPT, "Mcp-Session-Id": opened.headers["mcp-session-id"]}
        assert (await other.post(PING, **session)).status_code == 200

        owner.kill()
        result = await through_other
        assert result["isError"]
        assert "may have been done" in text(result)
        await asyncio.gather(calling, return_exceptions=True)
        (tmp_path / "go").touch()
        assert text(await other.call("waiting__wait")) == "waited"
        assert (await other.post(PING, **session)).status_code == 404
        assert (await other.post(INITIALIZE, **ACCEPT)).status_code == 200
        await until(lambda: not is_there(child))
        await until(lambda: counts(other, members=1, owned_servers=1))

        third = await stack.enter_async_context(replica(settings, key))
        assert text(await third.call("waiting__wait")) == "waited"
        assert not servers_of(third)
        (tmp_path / "go").unlink()
        calls = len((tmp_path / "started").read_text().splitlines())
        calling = asyncio.create_task(third.call("waiting__wait"))
        await started(tmp_path, calls + 1)
        stopping = await value(settings.database.url, "SELECT member_id FROM server_owners")
        other.process.terminate()
        # Another may own it at once, or none until the next call.
        await until(lambda: owns_nothing(settings, stopping))
        (tmp_path / "go").touch()
        assert text(await calling) == "waited"
        assert text(await third.call("waiting__wait")) == "waited"
        assert await asyncio.wait_for(other.process.wait(), 40) == 0
        assert len(servers_of(third)) == 1
        assert await value(settings.database.url, "SELECT count(*) FROM cluster_members") == 1
        await until(lambda: counts(third, members=1, owned_servers=1))


async def counts(gateway: Replica, **expected: int) -> bool:
    """Whether this is what a gateway's metrics say of the cluster."""
    return all([await metric_at(gateway.url, f"modelgate_cluster_{name}") == count for name, count in expected.items()])


async def owns_nothing(settings: Settings, member_id: str) -> bool:
    owned = await value(settings.database.url, "SELECT count(*) FROM server_owners WHERE member_id = $1", member_id)
    return not owned


async def test_a_replica_with_another_encryption_key_does_not_start(settings: Settings, tmp_path: Path) -> None:
    async with replica(settings, "", MODELGATE_ENCRYPTION_KEY="11" * 32):
        command = CommandLine(environment(settings, MODELGATE_ENCRYPTION_KEY="22" * 32), tmp_path)
        said = await command.fail("serve")
    assert "has another encryption key" in said
    assert "MODELGATE_ENCRYPTION_KEY" in said


async def both_workers(served: Replica) -> list[int]:
    """The workers of a gateway, once there are two that are ready."""
    await until(lambda: len(children_of(served.process.pid)) == 2)
    return sorted(children_of(served.process.pid))


async def test_workers_are_started_anew_and_end_with_the_process_that_started_them(
    settings: Settings, tmp_path: Path
) -> None:
    async def members() -> int:
        return int(await value(settings.database.url, "SELECT count(*) FROM cluster_members"))

    async def are_there(count: int) -> bool:
        return await members() == count

    async with replica(settings, "", "--workers", "2") as served:
        await until(lambda: are_there(2), 60)
        workers = await both_workers(served)
        os.kill(workers[0], signal.SIGKILL)
        assert (await served.post(PING)).status_code == 401
        await until(lambda: are_there(1))
        await until(lambda: are_there(2), 60)
        workers = await both_workers(served)
        assert await served.stop() == 0
        assert not any(map(is_there, workers))
        assert await members() == 0
    async with replica(settings, "", "--workers", "2") as served:
        await until(lambda: are_there(2), 60)
        workers = await both_workers(served)
        served.kill()
        await until(lambda: not any(map(is_there, workers)), 30)


@pytest.mark.parametrize("workers", ["0", "many"])
async def test_a_number_of_workers_that_cannot_be_is_refused(settings: Settings, tmp_path: Path, workers: str) -> None:
    result = await CommandLine(environment(settings), tmp_path)("serve", "--workers", workers)
    assert (result.code, "--workers" in result.err) == (2, True)
