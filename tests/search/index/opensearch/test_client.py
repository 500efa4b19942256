from __future__ import annotations

import asyncio
import sys
from collections import Counter

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.errors import OpenSearchIncompleteError, OpenSearchUnavailableError, SettingsError
from gateway.search.index.opensearch.client import OpenSearchClient
from gateway.search.index.opensearch.feed.feed_state import read_states
from gateway.settings import OpenSearchSettings


async def test_the_cluster_is_one_that_can_be_used(client: OpenSearchClient) -> None:
    assert not client.is_verified
    assert (await client.verify()).startswith(("2.", "3."))
    assert client.is_verified


async def test_a_node_that_is_not_there_is_left_out_while_another_one_answers(opensearch: OpenSearchSettings) -> None:
    client = OpenSearchClient(OpenSearchSettings(urls=("http://127.0.0.1:9", *opensearch.urls)))
    for _ in range(4):
        assert await client.verify()
    await client.aclose()


async def test_a_node_that_hangs_is_left_alone_while_another_one_answers(opensearch: OpenSearchSettings) -> None:
    connections: list[asyncio.StreamWriter] = []
    hanging = await asyncio.start_server(lambda _, writer: connections.append(writer), "127.0.0.1", 0)
    port = hanging.sockets[0].getsockname()[1]
    client = OpenSearchClient(OpenSearchSettings(urls=(f"http://127.0.0.1:{port}", *opensearch.urls)))
    try:
        # Each of the two has its turn, and whoever comes to the one that hangs is answered by the other.
        for _ in range(4):
            assert await client.verify()
        assert len(connections) == 1
    finally:
        await client.aclose()
        for connection in connections:
            connection.close()
        hanging.close()


async def test_nodes_that_wait_for_another_one_are_not_left_alone() -> None:
    searched: list[str] = []

    async def reply(request: web.Request) -> web.Response:
        if request.path == "/_msearch":
            searched.append(request.host)
            await asyncio.sleep(30)
        return web.json_response({})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", reply)
    async with TestServer(application) as one, TestServer(application) as two:
        urls = [str(server.make_url("")) for server in (one, two)]
        client = OpenSearchClient(OpenSearchSettings(urls=tuple(urls), timeout_ms=50))
        for _ in range(4):
            # Which says nothing of what others search.
            with pytest.raises(OpenSearchIncompleteError, match="did not answer in time"):
                await client.search_each("modelgate-space-1-v1", [{"size": 0}])
        await client.aclose()
    assert sorted(Counter(searched).values()) == [2, 2]


async def test_what_is_read_in_the_background_may_take_longer_than_a_search() -> None:
    timeouts = []

    async def reply(request: web.Request) -> web.Response:
        if request.path == "/_msearch":
            timeouts.append((await request.text()).count('"timeout":"30000ms"'))
            await asyncio.sleep(1)
        shards = {"total": 1, "successful": 1, "failed": 0}
        found = {"_shards": shards, "timed_out": False, "hits": {"hits": []}}
        return web.json_response({"status": "green", "responses": [found]})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", reply)
    async with TestServer(application) as server:
        client = OpenSearchClient(OpenSearchSettings(urls=(str(server.make_url("")),), timeout_ms=50))
        assert await read_states(client, "modelgate-space-1-v1-1") == {}
        await client.aclose()
    assert timeouts == [1]


async def test_that_nobody_answers_is_said_with_the_addresses() -> None:
    client = OpenSearchClient(OpenSearchSettings(urls=("http://127.0.0.1:9",)))
    with pytest.raises(OpenSearchUnavailableError, match=r"None of http://127\.0\.0\.1:9 answers"):
        await client.verify()
    await client.aclose()


@pytest.mark.parametrize("answer", [{}, [], None, {"responses": []}, {"responses": [{}]}, {"responses": [None]}])
async def test_what_answers_a_search_and_is_no_opensearch_is_named(answer: object) -> None:
    async def reply(request: web.Request) -> web.Response:
        return web.json_response(answer)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", reply)
    async with TestServer(application) as server:
        client = OpenSearchClient(OpenSearchSettings(urls=(str(server.make_url("")),)))
        with pytest.raises(OpenSearchUnavailableError, match="no answer of OpenSearch's"):
            await client.search_each("modelgate-space-1-v1", [{"size": 0}])
        await client.aclose()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (OpenSearchSettings(urls=("localhost:9200",)), "opensearch.urls has 'localhost:9200'"),
        (OpenSearchSettings(urls=("http://a:b@localhost",)), "holds a password"),
        (OpenSearchSettings(urls=("me:hush@localhost:9200",)), r"opensearch.urls has \*+; each"),
        (OpenSearchSettings(username="a", api_key="b"), "two ways to sign in"),
        (OpenSearchSettings(urls=("https://localhost",), ca_file="/no/such"), "there is no such file"),
        (OpenSearchSettings(urls=("https://localhost",), ca_file=__file__), "no file of certificates"),
    ],
)
def test_what_cannot_be_used_is_said_at_once(settings: OpenSearchSettings, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        OpenSearchClient(settings)


def test_without_its_client_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opensearchpy", None)
    with pytest.raises(SettingsError, match=r"modelgate-mcp\[opensearch\]"):
        OpenSearchClient(OpenSearchSettings())
