"""The event loop of a running gateway is not that of the tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from gateway.embedding.local.builtin import BuiltinEmbedder
from gateway.settings import UpstreamSettings
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from tests.support.embedding import embed_documents
from tests.upstream.conftest import raw, sdk, serving, web
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


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_servers_start_and_queries_are_embedded_while_a_model_is_loaded_and_at_work(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    """A process that is forked in the midst of another thread's work may find that thread's locks taken for ever."""

    async def start(number: int) -> None:
        async with UpstreamPool(UpstreamSettings()) as pool:
            assert (await pool.request(raw(id=number), UpstreamRequest("tools/list", {})))["tools"]

    async def main() -> None:
        embedder = BuiltinEmbedder()
        documents = asyncio.create_task(embed_documents(embedder, ["read the rows of a table"] * 400))
        for number in range(1, 25):
            await asyncio.gather(start(number), embedder.embed_query(f"query {number}"))
        assert (await documents).shape == (400, 640)
        await embedder.aclose()

    run(main())
