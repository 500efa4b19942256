"""The event loop of a running gateway is not that of the tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from gateway.settings import UpstreamSettings
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from tests.upstream.conftest import sdk, serving, web
from tests.upstream.servers.sdk import build


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_servers_are_called_on_every_event_loop(run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    async def main() -> None:
        call = {"name": "add", "arguments": {"a": 1, "b": 2}}
        async with serving(build().streamable_http_app()) as url, UpstreamPool(UpstreamSettings()) as pool:
            for spec in (web(f"{url}/mcp"), sdk(id=2)):
                assert (await pool.request(spec, UpstreamRequest("tools/call", call)))["structuredContent"] == {
                    "result": 3
                }

    run(main())
