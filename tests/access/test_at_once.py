"""What one process changes is in force for the next request in another: two `modelgate serve` on one database."""

from __future__ import annotations

import contextlib
import json
import os
import re
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import Process

from gateway.access.keys import ApiKeys
from gateway.access.profiles import Profiles
from gateway.access.roles import create_role, refresh_visibility
from gateway.access.rules import delete_rule, set_rule
from gateway.access.tenants import Tenant, create_tenant, delete_tenant, suspend_tenant
from gateway.database.pool import Database
from tests.support.catalogue import StoredTool, add_tools, direct_connection
from tests.support.serving import serving

AT_ONCE_SECONDS = 0.2
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def processes(database_url: str, tmp_path: Path) -> AsyncIterator[list[str]]:
    """The addresses of two gateway processes."""
    async with contextlib.AsyncExitStack() as stack:
        started = [
            await stack.enter_async_context(_process(database_url, tmp_path / f"process {number}"))
            for number in range(2)
        ]
        yield [await _address(process) for process in started]


@contextlib.asynccontextmanager
async def _process(database_url: str, folder: Path) -> AsyncIterator[Process]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MODELGATE_")}
    environ = kept | {
        "MODELGATE_DATABASE_URL": database_url,
        "MODELGATE_DATABASE_POOL_SIZE": "3",
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_SERVER_PORT": "0",
        "MODELGATE_DATA_DIR": str(folder),
        # Without a common key the second one would refuse to start.
        "MODELGATE_ENCRYPTION_KEY": "ab" * 32,
        "MODELGATE_UPSTREAM_CONNECT_TIMEOUT_SECONDS": "1",
    }
    process = await anyio.open_process(
        [sys.executable, "-u", "-m", "gateway", "serve"], env=environ, cwd=ROOT, stderr=None
    )
    try:
        yield process
    finally:
        process.terminate()
        with anyio.CancelScope(shield=True):
            await process.wait()


async def _address(process: Process) -> str:
    assert process.stdout is not None
    said = ""
    with anyio.fail_after(60):
        async for chunk in process.stdout:
            said += chunk.decode()
            found = re.search(r"ready at (http://\S+) ", said)
            if found:
                return found[1]
    raise AssertionError(f"The gateway ended: {said}")


class Client:
    """Asks one process, with one key."""

    def __init__(self, http: httpx2.AsyncClient, url: str, key: str, path: str = "/mcp") -> None:
        self._http = http
        self._url = url + path
        self._key = key

    async def post(self, method: str, params: Any = None) -> httpx2.Response:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
        return await self._http.post(self._url, json=body, headers={"X-API-Key": self._key})

    async def listed(self) -> set[str]:
        answer = (await self.post("tools/list")).json()
        return {tool["name"] for tool in answer["result"]["tools"]} - {"tool_search", "tool_call"}

    async def finds(self, query: str) -> str:
        answer = await self.post("tools/call", {"name": "tool_search", "arguments": {"query": query}})
        return str(json.loads(answer.json()["result"]["content"][0]["text"])["tools"])

    async def is_there(self, tool: str) -> bool:
        """Whether a call gets as far as the upstream server."""
        answer = (await self.post("tools/call", {"name": tool, "arguments": {}})).json()
        return "There is no tool" not in answer.get("error", {}).get("message", "")

    def has(self, tool: str) -> Callable[[], Awaitable[bool]]:
        return lambda: self.is_there(tool)

    def lacks(self, tool: str) -> Callable[[], Awaitable[bool]]:
        async def lacks() -> bool:
            return not await self.is_there(tool)

        return lacks

    async def is_let_in(self) -> bool:
        return (await self.post("ping")).status_code == 200

    async def is_shut_out(self) -> bool:
        return (await self.post("ping")).status_code == 401

    async def is_gone(self) -> bool:
        return (await self.post("ping")).status_code == 404


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=30) as client:
        yield client


@pytest.fixture
async def tools(database: Database, tenant: Tenant) -> AsyncIterator[list[StoredTool]]:
    """Tools of a server that refuses every request at once."""

    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body"})

    async with serving(refuse) as url:
        yield await add_tools(
            database, tenant.id, [("files", "read", "other"), ("files", "delete", "other")], url=f"{url}/mcp"
        )


async def seconds_until(holds: Callable[[], Awaitable[bool]]) -> float:
    """How long it takes until `holds` does, from now; at most ten seconds are waited."""
    begun = time.monotonic()
    with anyio.fail_after(10):
        while True:
            if await holds():
                return time.monotonic() - begun
            await anyio.sleep(0.002)


def assert_at_once(took: list[float], ordinary: list[float]) -> None:
    """What a request takes where there is nothing to wait for, as `ordinary` says, is no delay; and a machine that is
    busy with other tests may be late now and then.
    """
    assert statistics.median(took) < AT_ONCE_SECONDS + 4 * statistics.median(ordinary), (took, ordinary)


async def test_rules_and_tools_that_change_are_in_force_in_every_process_at_once(
    processes: list[str], database: Database, tenant: Tenant, tools: list[StoredTool], http: httpx2.AsyncClient
) -> None:
    role = await create_role(database, tenant.id, "dev", "ALLOW")
    made = await ApiKeys(database).create(tenant.id, "ci", ["dev"])
    clients = [Client(http, url, made.key) for url in processes]
    took: list[float] = []
    ordinary: list[float] = []
    for _ in range(3):
        for client in clients:
            # Asked twice, so that all that is kept is kept.
            for _ in range(2):
                assert await client.listed() == {"files__read", "files__delete"}
                assert "files__delete" in await client.finds("files__delete")
                assert await client.is_there("files__delete")
        rule_id = await set_rule(database, tenant.id, role.id, "DENY", pattern="*delete*")
        for client in clients:
            took.append(await seconds_until(client.lacks("files__delete")))
            ordinary.append(await seconds_until(client.lacks("files__delete")))
            assert await client.listed() == {"files__read"}
            assert "files__delete" not in await client.finds("files__delete")
        await delete_rule(database, tenant.id, rule_id)
        for client in clients:
            took.append(await seconds_until(client.has("files__delete")))
            ordinary.append(await seconds_until(client.has("files__delete")))
    assert_at_once(took, ordinary)
    async with direct_connection(database) as connection:
        await connection.execute("UPDATE tools SET removed_at = now() WHERE id = $1", tools[0].id)
    async with database.transaction() as transaction:
        await refresh_visibility(transaction, tenant.id, server_id=tools[0].server_id)
    for client in clients:
        await seconds_until(client.lacks("files__read"))
        assert await client.listed() == {"files__delete"}


async def test_keys_that_end_open_nothing_in_any_process_at_once(
    processes: list[str], database: Database, http: httpx2.AsyncClient
) -> None:
    tenant = await create_tenant(database, "acme")
    await create_role(database, tenant.id, "dev")
    keys = ApiKeys(database)
    took: list[float] = []
    ordinary: list[float] = []
    for _ in range(5):
        made = await keys.create(tenant.id, "ci", ["dev"])
        clients = [Client(http, url, made.key) for url in processes]
        for client in clients * 2:
            assert await client.is_let_in()
        await keys.revoke(tenant.id, made.id)
        took += [await seconds_until(client.is_shut_out) for client in clients]
        ordinary += [await seconds_until(client.is_shut_out) for client in clients]
        assert "revoked" in (await clients[0].post("ping")).json()["error"]["message"]
    assert_at_once(took, ordinary)

    made = await keys.create(tenant.id, "ci", ["dev"])
    clients = [Client(http, url, made.key) for url in processes]
    for client in clients * 2:
        assert await client.is_let_in()
    rotated = await keys.rotate(tenant.id, made.id, timedelta(seconds=1))
    await keys.rotate(tenant.id, rotated.id, timedelta(hours=1))
    for client in clients:
        # Nobody tells of a key that expires: it has to be seen by the clock.
        assert await seconds_until(client.is_shut_out) < 8
        assert "expired" in (await client.post("ping")).json()["error"]["message"]

    clients = [Client(http, url, rotated.key) for url in processes]
    for suspended in (True, False):
        await suspend_tenant(database, tenant.id, suspended=suspended)
        for client in clients:
            await seconds_until(client.is_shut_out if suspended else client.is_let_in)
    await delete_tenant(database, tenant, "acme")
    for client in clients:
        await seconds_until(client.is_shut_out)
        assert "unknown" in (await client.post("ping")).json()["error"]["message"]


async def test_a_profile_that_changes_or_goes_is_so_in_every_process(
    processes: list[str], database: Database, tenant: Tenant, tools: list[StoredTool], http: httpx2.AsyncClient
) -> None:
    profiles = Profiles(database)
    profile = await profiles.create(tenant.id, "few", "all")
    await set_rule(database, tenant.id, profile.id, "SEARCH", tool_id=tools[0].id)
    made = await ApiKeys(database).create(tenant.id, "ci", ["all"])
    clients = [Client(http, url, made.key, "/mcp/p/few") for url in processes]
    for client in clients * 2:
        assert await client.listed() == {"files__read"}
    await set_rule(database, tenant.id, profile.id, "SEARCH", tool_id=tools[1].id)
    for client in clients:
        await seconds_until(client.has("files__delete"))
        assert await client.listed() == {"files__read", "files__delete"}
    await profiles.delete(tenant.id, profile.id)
    for client in clients:
        await seconds_until(client.is_gone)
