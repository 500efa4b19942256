"""Servers that fail, through a whole gateway: each fault is told to its caller, and costs no one else anything."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.servers.tuning import Tuning
from tests.support.gateway import RunningGateway
from tests.support.listed import add_listed, tool
from tests.support.metrics import metric
from tests.support.waiting import until
from tests.upstream.processes import memory

SERVER = Path(__file__).parents[1] / "support" / "unruly_server.py"
MEBIBYTE = 2**20

AddUnruly = Callable[..., Awaitable[Path]]


@pytest.fixture
def add_unruly(gateway: RunningGateway, tmp_path: Path) -> AddUnruly:
    """Adds a server and syncs it; returns the file that it notes what it is told in."""

    async def add(name: str = "Unruly", **tuning: Any) -> Path:
        parts = gateway.parts
        tenant = await tenant_by_slug(parts.database)
        notes = tmp_path / f"{name}.notes"
        notes.touch()
        new = ServerDefinition(name, "stdio", command=sys.executable, args=("-I", "-S", str(SERVER), str(notes)))
        server_id = await parts.servers.add(tenant.id, new)
        await parts.servers.set_tuning(tenant.id, server_id, Tuning(**tuning))
        await parts.sync.run(tenant.id, server_id)
        return notes

    return add


@contextmanager
def flat_memory(mebibytes: int = 96) -> Iterator[None]:
    """What goes on inside takes no more than so much memory of this process, which is the gateway's."""
    before = highest = memory()

    async def watch() -> None:
        nonlocal highest
        while True:
            highest = max(highest, memory())
            await asyncio.sleep(0.05)

    task = asyncio.ensure_future(watch())
    try:
        yield
    finally:
        task.cancel()
    assert (max(highest, memory()) - before) / MEBIBYTE < mebibytes


async def calls(gateway: RunningGateway, outcome: str, server: str = "Unruly") -> int:
    """How many calls of a server had this outcome, by the metrics."""
    return int(await metric(gateway, "modelgate_tool_call_seconds_count", server=server, outcome=outcome))


def text_of(result: Any) -> str:
    text: str = result["content"][0]["text"]
    return text


async def test_a_server_that_is_killed_in_a_call_is_named_at_once_and_the_next_call_works(
    gateway: RunningGateway, add_unruly: AddUnruly
) -> None:
    notes = await add_unruly()
    calling = [asyncio.ensure_future(gateway.call("unruly__hang")) for _ in range(3)]
    await until(lambda: notes.read_text().count("hanging") == 3)
    begun = time.monotonic()
    calling.append(asyncio.ensure_future(gateway.call("unruly__die")))
    for result in await asyncio.gather(*calling):
        assert result["isError"]
        assert "Server Unruly exited with code 3" in text_of(result)
    assert time.monotonic() - begun < 10
    assert text_of(await gateway.call("unruly__echo")) == "echo done"
    assert (await calls(gateway, "failed"), await calls(gateway, "ok")) == (4, 1)
    assert await metric(gateway, "modelgate_upstream_restarts") == 1


async def test_a_call_that_hangs_ends_and_the_server_is_told(gateway: RunningGateway, add_unruly: AddUnruly) -> None:
    notes = await add_unruly(call_timeout_seconds=0.5)
    with anyio.fail_after(10):
        result = await gateway.call("unruly__hang")
    assert result["isError"]
    assert text_of(result) == "Server Unruly did not answer tools/call within 0.5 s; try again later."
    assert await calls(gateway, "failed") == 1
    await until(lambda: "hanging" in notes.read_text())
    hanging = notes.read_text().split()[1]
    await until(lambda: f"cancelled {hanging}\n" in notes.read_text())


async def test_a_server_that_takes_ten_seconds_costs_its_callers_their_timeout_and_another_server_nothing(
    gateway: RunningGateway, add_unruly: AddUnruly
) -> None:
    await add_unruly("Slow", call_timeout_seconds=3.0)
    await add_unruly("Quick")
    slow = [asyncio.ensure_future(gateway.call("slow__queue", {"seconds": 10})) for _ in range(3)]
    for _ in range(3):
        assert text_of(await gateway.call("quick__echo")) == "echo done"
    assert not any(call.done() for call in slow)
    for result in await asyncio.gather(*slow):
        assert text_of(result) == "Server Slow did not answer tools/call within 3 s; try again later."
    assert await calls(gateway, "failed", "Slow") == 3
    assert await calls(gateway, "failed", "Quick") == 0


async def test_two_hundred_calls_to_a_server_that_does_one_at_a_time_cost_another_nothing(
    gateway: RunningGateway, add_unruly: AddUnruly
) -> None:
    await add_unruly("Slow", call_timeout_seconds=3.0, max_calls_in_flight=4)
    await add_unruly("Quick")

    async def seconds_of_a_call() -> float:
        begun = time.perf_counter()
        assert text_of(await gateway.call("quick__echo")) == "echo done"
        return time.perf_counter() - begun

    async def timed(through: RunningGateway) -> tuple[str, float]:
        begun = time.perf_counter()
        result = await through.call("slow__queue", {"seconds": 0.3})
        return text_of(result), time.perf_counter() - begun

    # From now on nothing has to be looked up in the database, for which so many would wait too long.
    assert text_of(await gateway.call("slow__queue", {"seconds": 0})) == "queue done"
    await seconds_of_a_call()
    before = statistics.median([await seconds_of_a_call() for _ in range(30)])
    async with httpx2.AsyncClient(base_url=gateway.url, timeout=30, limits=httpx2.Limits(max_connections=200)) as crowd:
        with flat_memory():
            calling = [asyncio.ensure_future(timed(replace(gateway, http=crowd))) for _ in range(200)]
            await asyncio.sleep(1.0)
            during = statistics.median([await seconds_of_a_call() for _ in range(30)])
            outcomes = await asyncio.gather(*calling)
    done = [text for text, _ in outcomes if text == "queue done"]
    busy = [text for text, _ in outcomes if "Slow is busy with 4 calls, as many as it may have" in text]
    late = [text for text, _ in outcomes if "did not answer" in text]
    assert len(done) + len(busy) + len(late) == 200
    assert await calls(gateway, "ok", "Slow") == 1 + len(done)
    assert await calls(gateway, "failed", "Slow") == len(busy) + len(late)
    assert await calls(gateway, "failed", "Quick") == 0
    # It gets no more than it does in the time, and the rest is refused and not left to run out of time.
    assert 0 < len(done) < len(busy)
    assert len(late) < len(busy)
    assert max(seconds for _, seconds in outcomes) < 20
    assert during < before * 5 + 0.05
    # It was slow, not ill.
    assert text_of(await gateway.call("slow__echo")) == "echo done"


async def test_a_million_notifications_are_taken_in_flat_memory(gateway: RunningGateway, add_unruly: AddUnruly) -> None:
    await add_unruly()
    with flat_memory():
        flood = asyncio.ensure_future(gateway.call("unruly__flood", {"count": 1000}))
        # Meanwhile the gateway answers others.
        assert (await gateway.request("ping"))["result"] == {}
        assert text_of(await flood) == "flood done"


@pytest.mark.parametrize("name", ["one_line", "chatter"])
async def test_a_hundred_mebibytes_that_are_no_message_are_an_error_in_flat_memory(
    gateway: RunningGateway, add_unruly: AddUnruly, name: str
) -> None:
    await add_unruly()
    with flat_memory(), anyio.fail_after(20):
        result = await gateway.call(f"unruly__{name}", {"count": 100})
    assert "Unruly" in text_of(result) or text_of(result) == f"{name} done"
    assert text_of(await gateway.call("unruly__echo")) == "echo done"


@pytest.mark.parametrize("name", ["many_lines", "logs"])
async def test_a_hundred_mebibytes_of_messages_are_taken_in_flat_memory(
    gateway: RunningGateway, add_unruly: AddUnruly, name: str
) -> None:
    await add_unruly()
    with flat_memory(), anyio.fail_after(20):
        assert text_of(await gateway.call(f"unruly__{name}", {"count": 100})) == f"{name} done"


async def test_a_reply_that_is_not_utf8_is_an_error_of_its_call_alone(
    gateway: RunningGateway, add_unruly: AddUnruly
) -> None:
    notes = await add_unruly()
    hanging = asyncio.ensure_future(gateway.call("unruly__hang"))
    await until(lambda: "hanging" in notes.read_text())
    result = await gateway.call("unruly__invalid_utf8")
    assert result["isError"]
    assert "Server Unruly gave a reply that is not MCP" in text_of(result)
    assert await calls(gateway, "failed") == 1
    assert text_of(await gateway.call("unruly__echo")) == "echo done"
    assert not hanging.done()
    hanging.cancel()


async def test_one_that_ends_within_a_reply_or_for_want_of_memory_is_named_and_the_next_call_works(
    gateway: RunningGateway, add_unruly: AddUnruly
) -> None:
    await add_unruly()
    for name, how in (("torn", "exited with code 4"), ("leak", "ended by signal 9")):
        with flat_memory(), anyio.fail_after(20):
            result = await gateway.call(f"unruly__{name}")
        assert result["isError"]
        assert "Server Unruly" in text_of(result)
        assert how in text_of(result)
        assert text_of(await gateway.call("unruly__echo")) == "echo done"
    assert (await calls(gateway, "failed"), await calls(gateway, "ok")) == (2, 2)
    assert await metric(gateway, "modelgate_upstream_restarts") == 2


async def test_answers_in_another_order_and_those_that_come_when_their_caller_has_left_are_nobody_elses(
    gateway: RunningGateway, add_unruly: AddUnruly
) -> None:
    notes = await add_unruly()
    texts = [f"number {number}" for number in range(20)]
    calling = [gateway.call("unruly__reversed", {"count": len(texts), "text": text}) for text in texts]
    assert [text_of(result) for result in await asyncio.gather(*calling)] == texts
    leaving = asyncio.ensure_future(gateway.call("unruly__queue", {"seconds": 0.5}))
    await until(lambda: "queueing" in notes.read_text())
    leaving.cancel()
    await until(lambda: "cancelled" in notes.read_text())
    # The late answer comes while this call waits behind it.
    assert text_of(await gateway.call("unruly__queue", {"seconds": 0.5})) == "queue done"
    assert text_of(await gateway.call("unruly__echo")) == "echo done"


async def test_a_tool_that_vanishes_between_search_and_call_is_told(gateway: RunningGateway, tmp_path: Path) -> None:
    server = await add_listed(gateway.parts, tmp_path, tool("paint_wall", "Paint a wall."), tool("sweep", "Sweep."))
    found = await gateway.call("tool_search", {"query": "paint a wall"})
    assert "listed__paint_wall" in text_of(found)
    server.lists(tool("sweep", "Sweep."))
    await server.sync()
    error = (await gateway.request("tools/call", {"name": "listed__paint_wall"}))["error"]
    assert error["code"] == -32602
    assert error["message"] == 'There is no tool "listed__paint_wall"; find the right name with tool_search.'
    assert "sweep" in text_of(await gateway.call("listed__sweep"))
