"""PostgreSQL that freezes, ends, fills up or moves, under a whole gateway: told to whoever asks, and over by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.components import Components, open_components
from gateway.database.connection import LOOKUP_SECONDS
from gateway.database.pool import open_database
from gateway.errors import ConflictError, DatabaseError, DatabaseUnavailableError
from gateway.settings import Settings
from tests.support.database_proxy import DatabaseProxy
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.listed import ListedServer, add_listed, tool
from tests.support.metrics import metric
from tests.support.rows import value
from tests.support.waiting import until

PAINT = tool("paint_wall", "Paint a wall in a colour.")
SWEEP = tool("sweep", "Sweep the floor of a room.")


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[DatabaseProxy]:
    proxy = DatabaseProxy(database_url)
    async with proxy.running():
        yield proxy


@pytest.fixture
async def parts(settings: Settings, proxy: DatabaseProxy) -> AsyncIterator[Components]:
    """Parts that reach their database through the proxy alone."""
    async with open_components(replace(settings, database=replace(settings.database, url=proxy.url))) as opened:
        yield opened


@pytest.fixture
async def server(gateway: RunningGateway, tmp_path: Path) -> ListedServer:
    return await add_listed(gateway.parts, tmp_path, PAINT, SWEEP)


@pytest.fixture(autouse=True)
def patient_lookups() -> None:
    """As long as the gateway gives them."""


async def search(gateway: RunningGateway, query: str = "paint a wall") -> Any:
    """The body of the answer to a search."""
    params = {"name": "tool_search", "arguments": {"query": query}}
    return (await gateway.post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})).json()


async def finds_again(gateway: RunningGateway) -> None:
    """Wait until the gateway does all that it does, without anybody's help."""
    with anyio.fail_after(20):
        while "listed__paint_wall" not in str(await search(gateway)):  # noqa: ASYNC110
            await anyio.sleep(0.05)
    assert "sweep" in str(await gateway.call("listed__sweep"))


async def test_a_frozen_database_costs_a_lookup_one_second_and_no_connection(settings: Settings) -> None:
    assert LOOKUP_SECONDS == 1.0
    async with open_database(settings, size=2) as database:
        proxy = DatabaseProxy(database)
        async with (
            proxy.running(),
            open_database(replace(settings, database=replace(settings.database, url=proxy.url)), size=2) as frozen,
        ):
            assert await frozen.fetchval("catalogue_version", 1) is not None
            proxy.stall()
            for _ in range(3):
                # Half of what a statement of another kind may take.
                with anyio.fail_after(5), pytest.raises(DatabaseUnavailableError):
                    await frozen.fetchval("catalogue_version", 1)
            proxy.resume()
            with anyio.fail_after(10):
                assert await frozen.fetchval("catalogue_version", 1) is not None


class TestSearchedInTheDatabase:
    """With the index in PostgreSQL, as for a tenant that does not fit into memory."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, search=replace(settings.search, index="pgvector"))

    async def test_a_frozen_database_costs_a_search_a_second_also_before_it_is_noticed(
        self, gateway: RunningGateway, server: ListedServer, proxy: DatabaseProxy
    ) -> None:
        await finds_again(gateway)
        # As many connections as there will be searches.
        await asyncio.gather(*(search(gateway, f"paint a wall {number}") for number in range(4)))
        proxy.stall()
        # Half of what a statement may take.
        with anyio.fail_after(5):
            answers = await asyncio.gather(*(search(gateway) for _ in range(4)))
        assert all("does not answer" in str(answer) for answer in answers)
        proxy.resume()
        await finds_again(gateway)


@pytest.mark.parametrize("fault", ["stall", "close"])
async def test_while_it_is_gone_all_are_told_and_afterwards_it_goes_on_by_itself(
    gateway: RunningGateway, server: ListedServer, proxy: DatabaseProxy, fault: str
) -> None:
    await finds_again(gateway)
    getattr(proxy, fault)()
    # Once it is noticed that nothing is heard of changes, nothing that was kept counts any more.
    await until(lambda: not gateway.parts.notices.connected)
    # Half of what a statement may take that is no lookup.
    with anyio.fail_after(5):
        answers = await asyncio.gather(*(search(gateway, f"paint {number}") for number in range(20)))
    assert all("error" in answer or answer["result"] for answer in answers)
    assert any("does not answer" in str(answer) for answer in answers)
    assert (await gateway.http.get("/health")).status_code == 200
    assert (await gateway.http.get("/ready")).status_code == 503
    (proxy.resume if fault == "stall" else proxy.open)()
    await finds_again(gateway)
    await until(lambda: gateway.parts.notices.connected)
    assert await metric(gateway, "modelgate_request_seconds_count", status="503") > 0
    assert await metric(gateway, "modelgate_database_wait_seconds_count", outcome="ok") > 0
    assert await metric(gateway, "modelgate_notices_connected") == 1


async def test_tools_that_a_server_changes_while_it_is_gone_are_there_soon_after(
    gateway: RunningGateway, proxy: DatabaseProxy, tmp_path: Path
) -> None:
    server = await add_listed(gateway.parts, tmp_path, PAINT, announces=True)
    proxy.close()
    await until(lambda: not gateway.parts.notices.connected)
    server.lists(PAINT, SWEEP, announces=True)

    async def has_failed_twice() -> bool:
        return await metric(gateway, "modelgate_sync_seconds_count", outcome="failed") >= 2

    await until(has_failed_twice)
    proxy.open()

    async def is_found() -> bool:
        return "listed__sweep" in str(await search(gateway, "sweep the floor"))

    # By itself a sync is due in an hour.
    await until(is_found)
    assert (await server.record()).sync_failed_at is None


@pytest.mark.parametrize("fault", ["stall_listening", "cut_listening"])
async def test_while_the_listening_connection_alone_is_gone_changes_of_others_are_in_force_all_the_same(
    gateway: RunningGateway, server: ListedServer, proxy: DatabaseProxy, settings: Settings, fault: str
) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    async with open_components(settings) as other:
        key = await other.keys.create(1, "elsewhere", ["all"])
        await finds_again(gateway)
        assert (await gateway.post(ping, **{"X-API-Key": key.key})).status_code == 200
        getattr(proxy, fault)()
        await until(lambda: not gateway.parts.notices.connected)
        # It is noticed within a second; from then on the database is asked.
        await other.keys.revoke(1, key.id)
        server.lists(PAINT, SWEEP, tool("mop", "Mop the floor of a room."))
        await other.sync.run(server.tenant_id, server.id)
        assert (await gateway.post(ping, **{"X-API-Key": key.key})).status_code == 401
        assert "listed__mop" in str(await search(gateway, "mop the floor"))
        if fault == "stall_listening":
            assert await metric(gateway, "modelgate_notices_connected") == 0
        proxy.resume_listening()
        await until(lambda: gateway.parts.notices.connected)
        assert await metric(gateway, "modelgate_notices_connected") == 1


@pytest.mark.parametrize("act", ["sync", "rollback"])
async def test_a_connection_that_is_cut_at_any_point_of_it_leaves_all_or_nothing(
    gateway: RunningGateway, server: ListedServer, proxy: DatabaseProxy, database_url: str, act: str
) -> None:
    """As where the process is killed: PostgreSQL sees no more of either than a connection that ends."""
    versions = "SELECT count(*) FROM server_versions"
    state = "SELECT string_agg(name || '/' || (removed_at IS NULL), ',' ORDER BY name) FROM tools"
    server.lists(PAINT, tool("mop", "Mop the floor of a room."))
    if act == "rollback":
        await server.sync()

    async def run() -> None:
        if act == "sync":
            await server.sync()
        else:
            await gateway.parts.sync.restore(server.tenant_id, server.id, 1)

    async def undo() -> None:
        if act == "sync":
            server.lists(PAINT, SWEEP)
            await server.sync()
            server.lists(PAINT, tool("mop", "Mop the floor of a room."))
        else:
            await gateway.parts.sync.restore(server.tenant_id, server.id, 2)

    before = await value(database_url, versions), await value(database_url, state)
    failed = number = 0
    while True:
        number += 1
        left = number

        def cut(_: bytes) -> None:
            nonlocal left
            left -= 1
            if not left:
                proxy.cut()

        proxy.on_data = cut
        try:
            await run()
        except DatabaseUnavailableError:
            failed += 1
        except ConflictError:
            # PostgreSQL has not noticed yet that the one before has gone.
            number -= 1
        proxy.on_data = None
        after = await value(database_url, versions), await value(database_url, state)
        if after != before and failed > 3:
            break
        if after != before:
            # It asked nothing of the database in that moment, or of another connection: once more from the beginning.
            await undo()
            before = await value(database_url, versions), await value(database_url, state)
        assert number < 500
    assert await metric(gateway, "modelgate_sync_seconds_count", outcome="failed") >= (failed if act == "sync" else 0)
    # All of it is there, once, and what follows finds nothing to do.
    tools = "mop/true,paint_wall/true,sweep/false" if act == "sync" else "mop/false,paint_wall/true,sweep/true"
    assert after == (before[0] + 1, tools)
    await synced(server)
    assert await value(database_url, state) == tools
    expected = "mop the floor" if act == "sync" else "sweep the floor"
    with anyio.fail_after(20):
        while f"listed__{expected.split()[0]}" not in str(await search(gateway, expected)):  # noqa: ASYNC110
            await anyio.sleep(0.05)


async def synced(server: ListedServer) -> None:
    with anyio.fail_after(10):
        while True:
            with contextlib.suppress(DatabaseUnavailableError, ConflictError):
                await server.sync()
                return
            await anyio.sleep(0.05)


async def test_without_connections_left_requests_are_told_and_go_on_when_there_are_some(
    gateway: RunningGateway, server: ListedServer, proxy: DatabaseProxy
) -> None:
    await finds_again(gateway)
    proxy.refuse()
    proxy.cut()
    await until(lambda: not gateway.parts.notices.connected)
    answer = await search(gateway, "paint anything")
    assert "does not answer" in str(answer)
    assert await metric(gateway, "modelgate_request_seconds_count", status="503") > 0
    proxy.open()
    await finds_again(gateway)


async def test_one_that_moves_is_found_at_the_other_address_of_the_url(
    settings: Settings, database_url: str, tmp_path: Path
) -> None:
    first, second = DatabaseProxy(database_url), DatabaseProxy(database_url)
    async with first.running(), second.running():
        hosts = ",".join(f"127.0.0.1:{proxy.port}" for proxy in (first, second))
        url = f"postgresql://postgres@{hosts}/{first.url.rpartition('/')[2]}?target_session_attrs=primary"
        second.close()
        moved = replace(settings, database=replace(settings.database, url=url))
        async with open_components(moved) as parts, running_gateway(parts) as gateway:
            await add_listed(parts, tmp_path, PAINT, SWEEP)
            await finds_again(gateway)
            second.open()
            first.close()
            await until(lambda: not parts.notices.connected)
            await finds_again(gateway)
            await until(lambda: parts.notices.connected)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160m,mode=777", "modelgate-test", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    tmp_path.chmod(0o755)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_on_a_full_disk_a_sync_says_so_and_changes_nothing_and_all_goes_on_when_there_is_room(
    settings: Settings, small_disk: Path, tmp_path: Path
) -> None:
    embedded = replace(
        settings,
        database=replace(settings.database, url=""),
        server=replace(settings.server, data_dir=str(small_disk / "data")),
    )
    async with open_components(embedded) as parts, running_gateway(parts) as gateway:
        server = await add_listed(parts, tmp_path, PAINT, SWEEP)
        await finds_again(gateway)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(64 * 1024))
        many = [tool(f"tool_{number}", os.urandom(1_000).hex()) for number in range(200)]
        server.lists(PAINT, *many)
        with pytest.raises(DatabaseError):
            await server.sync()
        assert (await gateway.http.get("/health")).status_code == 200
        assert await metric(gateway, "modelgate_sync_seconds_count", outcome="failed") == 1
        filler.unlink()
        await finds_again(gateway)
        await server.sync()
        assert await value(parts.database.url, "SELECT count(*) FROM tools WHERE removed_at IS NULL") == 201
        # And what was offered was never anything else than one of the two lists.
        assert await value(parts.database.url, "SELECT count(*) FROM server_versions") == 2
