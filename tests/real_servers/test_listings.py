"""Published servers list through the gateway what they list directly, and what they listed when it was recorded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from gateway.cli.demo.listing import DemoServer
from gateway.components import Components
from tests.real_servers.run import AT_ONCE, EXPECTED, look_at


async def test_every_server_is_as_it_is_directly_and_as_it_was_recorded(
    parts: Components, published: Mapping[str, DemoServer]
) -> None:
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))
    limit = asyncio.Semaphore(AT_ONCE)

    async def problems(server: DemoServer) -> list[str]:
        async with limit:
            return (await look_at(parts, server, expected)).problems

    names = [name for name in published if name != "Local MCP"]
    assert set(names) <= expected.keys()
    found = await asyncio.gather(*(problems(published[name]) for name in names))
    assert {name: of_server for name, of_server in zip(names, found, strict=True) if of_server} == {}
