"""Calls through the REST API."""

from __future__ import annotations

import json
from pathlib import Path

import anyio

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway, add_local_mcp


async def test_calls_are_followed_as_they_are_recorded_and_those_that_fit_alone(
    gateway: RunningGateway, viewer: Person, tmp_path: Path
) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    told: list[dict[str, object]] = []

    async with viewer.http.stream("GET", "/api/v1/calls/events", params={"kind": "call"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.aiter_lines()
        assert await anext(lines) == "retry: 1500"
        # The first of them may have come before it began to look.
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_keep_calling, gateway)
                async for line in lines:
                    if line.startswith("data: "):
                        told.append(json.loads(line.removeprefix("data: ")))
                        if len(told) == 2:
                            break
                tasks.cancel_scope.cancel()
    assert {(call["kind"], call["target"], call["outcome"]) for call in told} == {
        ("call", "local_mcp__calculator", "ok")
    }
    assert told[0]["id"] != told[1]["id"]
    assert (await viewer.get("/calls/events", kind="song")).status_code == 422


async def _keep_calling(gateway: RunningGateway) -> None:
    while True:
        await gateway.call("tool_search", {"query": "calculate"})
        await gateway.call("local_mcp__calculator", {"expression": "1 + 1"})
        await anyio.sleep(0.2)
