"""A search that one process answers, and a call that another one makes after it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.settings import Settings
from tests.cluster.conftest import Pair, cluster_of
from tests.support.gateway import RunningGateway
from tests.support.rows import rows
from tests.support.waiting import until


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Every tool is found."""
    return replace(settings, search=replace(settings.search, threshold=0.0))


async def ask(pair: Pair, gateway: RunningGateway, name: str, **arguments: Any) -> None:
    """A one-shot call, always with the same key."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
    answer = (await gateway.post(message, **{"X-API-Key": pair.first.key})).json()
    assert not answer["result"].get("isError")


async def learnt(pair: Pair) -> list[tuple[str, float]]:
    found = await rows(pair.first.parts.database.url, "SELECT text, count FROM tool_examples ORDER BY id")
    return [(row["text"], row["count"]) for row in found]


async def test_a_call_follows_the_latest_search_wherever_that_was(pair: Pair) -> None:
    await pair.add_talker()
    await ask(pair, pair.second, "tool_search", query="an old saying", max_results=50)
    await ask(pair, pair.first, "tool_search", query="say it once more", max_results=50)
    await ask(pair, pair.second, "talker__echo")
    await until(lambda: is_learnt(pair, ["say it once more"]))
    # Used there as it is here: what is called after the same search counts half.
    await ask(pair, pair.first, "talker__echo")
    await ask(pair, pair.second, "tool_search", query="repeat after me", max_results=50)
    await ask(pair, pair.second, "talker__echo")
    await until(lambda: is_learnt(pair, ["say it once more", "repeat after me"]))
    assert await learnt(pair) == [("say it once more", 1.0), ("repeat after me", 1.0)]


async def test_requests_of_a_session_go_anywhere_and_are_one_story(pair: Pair) -> None:
    await pair.add_talker()
    async with pair.client() as client:
        for query in ("say it once more", "repeat after me"):
            await client.call_tool("tool_search", {"query": query, "max_results": 50})
            await client.call_tool("talker__echo", {})
    await until(lambda: is_learnt(pair, ["say it once more", "repeat after me"]))


async def test_a_member_of_an_earlier_version_is_asked_once_and_keeps_nobody_from_learning(pair: Pair) -> None:
    await pair.add_talker()
    del cluster_of(pair.first).hop.services["searches"]
    for query in ("say it once more", "repeat after me"):
        await ask(pair, pair.second, "tool_search", query=query, max_results=50)
        await ask(pair, pair.second, "talker__echo")
        await until(lambda query=query: is_learnt(pair, [query]))  # type: ignore[misc]


async def is_learnt(pair: Pair, texts: list[str]) -> bool:
    return set(texts) <= {text for text, _ in await learnt(pair)}
