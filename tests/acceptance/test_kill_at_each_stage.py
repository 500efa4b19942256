"""Processes killed at each message that they exchange with PostgreSQL in the midst of a sync, a rollback or a switch.

Each time all of it is there or nothing, others search on meanwhile, and the next process finishes the job. In the suite
that is tried at some of the messages, and by `make thorough` at all.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.components import Components, open_components
from gateway.errors import ConflictError
from gateway.search.request import SearchRequest
from gateway.settings import EmbedderSettings, Settings
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.database_proxy import DatabaseProxy
from tests.support.killed_process import KilledProcess, killed_process
from tests.support.listed import ListedServer, Tool, add_listed, tool
from tests.support.rows import caller_with, rows, value
from tests.support.thoroughness import cases
from tests.support.waiting import until
from tests.upstream import processes

TOOLS = 12
# At how many messages; each takes a process, and what it left undone is done.
STAGES = cases(3, 1_000)


def tools(version: int) -> list[Tool]:
    return [tool(f"tool_{n}", f"Version {version} of what number {n} does", a=f"parameter {n}") for n in range(TOOLS)]


@pytest.fixture
def ollama() -> Iterator[EmbeddingServer]:
    with EmbeddingServer(models=("nomic-embed-text", "other-model")) as server:
        yield server


@pytest.fixture
def settings(settings: Settings, ollama: EmbeddingServer) -> Settings:
    return replace(settings, embedder=EmbedderSettings(type="ollama", base_url=ollama.url, standby=False))


@dataclass(eq=False)
class Stages:
    """Does something in processes that are killed, each at a later message to or from PostgreSQL."""

    forking: KilledProcess
    proxy: DatabaseProxy

    async def each(self, act: str, **arguments: Any) -> AsyncIterator[int]:
        """Yields the number of the message at which a process was killed, after that; at last 0, for one that was not.

        `arguments` may be functions, which are called before each.
        """
        messages = await self._run(act, arguments, None)
        yield 0
        for number in range(1, messages + 1, max(1, messages // STAGES)):
            await self._run(act, arguments, number)
            yield number

    async def _run(self, act: str, arguments: dict[str, Any], killed_at: int | None) -> int:
        """Returns how many messages there were."""
        others = self._servers()
        given = {name: await each() if callable(each) else each for name, each in arguments.items()}
        pid = await self.forking.prepare(act, **given)
        messages = 0

        def count(_: bytes) -> None:
            nonlocal messages
            messages += 1
            if messages == killed_at:
                os.kill(pid, signal.SIGKILL)

        self.proxy.on_data = count
        code = await self.forking.go()
        self.proxy.on_data = None
        # Two runs do not exchange the very same number of messages.
        assert code in ((0,) if killed_at is None else (0, -signal.SIGKILL))
        # Neither is a server left that it has started.
        await until(lambda: self._servers() <= others)
        return messages

    def _servers(self) -> set[int]:
        """The servers of this test that run, whoever has started them."""
        folder = Path(self.forking.environ["MODELGATE_DATA_DIR"]).parent
        found = set()
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdecimal() and f"{folder}/".encode() in (entry / "cmdline").read_bytes():
                    found.add(int(entry.name))
        return {pid for pid in found if processes.alive(pid)}


@pytest.fixture
async def stages(settings: Settings, database_url: str, ollama: EmbeddingServer) -> AsyncIterator[Stages]:
    proxy = DatabaseProxy(database_url)
    async with proxy.running():
        environ = {
            "MODELGATE_DATABASE_URL": proxy.url,
            "MODELGATE_DATABASE_POOL_SIZE": "4",
            "MODELGATE_DATA_DIR": settings.server.data_dir,
            "MODELGATE_EMBEDDER_TYPE": "ollama",
            "MODELGATE_EMBEDDER_URL": ollama.url,
            "MODELGATE_EMBEDDER_STANDBY": "false",
        }
        async with killed_process(environ) as forking:
            yield Stages(forking, proxy)


@pytest.fixture
async def server(settings: Settings, tmp_path: Path) -> AsyncIterator[ListedServer]:
    """A server with two versions, in the second of them."""
    async with open_components(settings) as parts:
        server = await add_listed(parts, tmp_path, *tools(1))
        server.lists(*tools(2))
        await server.sync()
        yield server


async def content(url: str) -> tuple[int, int]:
    """Which tools the catalogue holds, and the number of the newest version; fails where it holds parts."""
    found = await rows(url, "SELECT id, description, term_count FROM tools WHERE removed_at IS NULL")
    versions = {int(row["description"].split()[1]) for row in found}
    assert (len(found), len(versions)) == (TOOLS, 1)
    terms = await rows(url, "SELECT tool_id, sum(count)::int AS terms FROM tool_terms GROUP BY tool_id")
    assert {row["id"]: row["term_count"] for row in found} == {row["tool_id"]: row["terms"] for row in terms}
    assert await value(url, "SELECT count(*) FROM tool_embeddings WHERE is_complete") == TOOLS
    count = await value(url, "SELECT count(*) FROM server_versions")
    assert await value(url, "SELECT count(*) FROM server_version_tools") == count * TOOLS
    assert await value(url, "SELECT count(*) FROM audit_log WHERE action = 'server.synced' AND outcome = 'ok'") <= count
    return versions.pop(), await value(url, "SELECT max(version) FROM server_versions")


async def finished(act: Callable[[], Awaitable[object]]) -> None:
    """Do what a killed process left undone, as soon as PostgreSQL has noticed that it has gone."""

    async def is_done() -> bool:
        try:
            await act()
        except ConflictError:
            return False
        return True

    await until(is_done)


async def finds(parts: Components) -> bool:
    outcome = await parts.finder.find(await caller_with(parts), SearchRequest(("what number 3 does",), max_results=12))
    return "tool_3" in {each.name for each in outcome.tools}


async def test_a_sync_that_is_killed_at_any_stage_leaves_all_or_nothing(
    server: ListedServer, stages: Stages, database_url: str
) -> None:
    listed = 2

    async def lists_another() -> int:
        nonlocal listed
        listed += 1
        server.lists(*tools(listed))
        return server.id

    before = await content(database_url)
    async for _ in stages.each("sync", server=lists_another):
        after = await content(database_url)
        assert after in (before, (listed, before[1] + 1))
        assert await finds(server.parts)
        await finished(server.sync)
        before = await content(database_url)
        assert before == (listed, after[1] if after[0] == listed else after[1] + 1)


async def test_a_rollback_that_is_killed_at_any_stage_leaves_all_or_nothing(
    server: ListedServer, stages: Stages, database_url: str
) -> None:
    before = await content(database_url)
    version = 0

    async def last_with_others() -> Any:
        nonlocal version
        version = await value(
            database_url,
            "SELECT max(version) FROM server_version_tools WHERE name = 'tool_0' AND content_hash <> "
            "(SELECT content_hash FROM server_version_tools WHERE name = 'tool_0' ORDER BY version DESC LIMIT 1)",
        )
        return version

    async for _ in stages.each("rollback", server=server.id, version=last_with_others):
        wanted, after = 3 - before[0], await content(database_url)
        assert after in (before, (wanted, before[1] + 1))
        assert await finds(server.parts)
        if after == before:
            await finished(functools.partial(server.parts.sync.restore, 1, server.id, version))
        before = await content(database_url)
        assert before == (wanted, after[1] if after[0] == wanted else after[1] + 1)
        assert await value(database_url, "SELECT pinned_version FROM servers") == before[1]


async def test_a_switch_that_is_killed_at_any_stage_is_finished_by_the_next_process(
    server: ListedServer, stages: Stages, settings: Settings, database_url: str
) -> None:
    stages.forking.environ["MODELGATE_EMBEDDER_MODEL"] = "other-model"
    other = replace(settings, embedder=replace(settings.embedder, model="other-model"))
    serving = "SELECT model FROM embedding_spaces WHERE active"
    store = server.parts.spaces.store
    former = (await server.parts.spaces.active_space()).id
    async for _ in stages.each("switch"):
        # One space serves, whichever it is, with the vectors of every tool.
        ((model,),) = await rows(database_url, serving)
        full = (
            "SELECT count(*) FROM tool_embeddings e JOIN embedding_spaces p ON p.id = e.space_id AND p.active "
            "WHERE e.is_complete AND vector_dims(e.combined_embedding) = p.dimensions"
        )
        assert await value(database_url, full) == TOOLS
        assert await finds(server.parts)
        if model != "other-model":
            # A minute later.
            await rows(database_url, "UPDATE embedding_spaces SET filler_until = now() WHERE filler IS NOT NULL")
            async with open_components(other) as next_process:
                await VectorFiller(next_process.database, next_process.spaces, next_process.categories).fill()
        assert await value(database_url, serving) == "other-model"
        assert await value(database_url, full) == TOOLS
        assert await value(database_url, "SELECT count(*) FROM embedding_spaces") == 2
        newer = await value(database_url, "SELECT id FROM embedding_spaces WHERE active")
        await store.activate(former)
        await store.drop(newer)
