"""The search playground through the REST API."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.services.playground import PlaygroundQuery, PlaygroundService
from gateway.components import open_components
from gateway.search.finder import Finder
from gateway.search.request import SearchRequest
from gateway.settings import RerankSettings, Settings
from tests.admin.conftest import Person
from tests.doubles.ranking_server import Fault, RankingServer
from tests.support.gateway import RunningGateway, add_local_mcp


@pytest.fixture
async def server_id(gateway: RunningGateway, tmp_path: Path) -> int:
    return await add_local_mcp(gateway.parts, tmp_path)


async def test_the_playground_shows_what_was_found_cut_and_hidden(admin: Person, server_id: int) -> None:
    role = (await admin.post("/roles", {"name": "few", "default_visibility": "SEARCH"})).json()["id"]
    await admin.post(f"/roles/{role}/rules", {"rules": [{"visibility": "DENY", "pattern": "*weather*"}]})
    body = {"query": "calculate math expressions", "role_id": role}
    answer = (await admin.post("/search", body)).json()
    outcomes = {tool["name"]: tool["outcome"] for tool in answer["tools"]}
    assert outcomes["calculator"] == "found"
    assert outcomes["get_weather"] == "hidden"
    assert outcomes["search_files"] in ("found", "cut")
    for tool in answer["tools"]:
        assert tool["reason"]
        if tool["outcome"] != "hidden":
            assert (tool["score"] >= answer["threshold"]) == (tool["outcome"] == "found")
    client = json.loads(answer["client_json"])
    assert client["tools"][0]["_metadata"]["tool"] == "calculator"
    assert answer["tokens"]["listing_everything"] > answer["tokens"]["answer"] > 0
    assert answer["times"]["total"] > 0


async def test_the_playground_answers_as_the_client_is_answered(
    gateway: RunningGateway, viewer: Person, server_id: int
) -> None:
    query = "what is the weather"
    answer = (await viewer.post("/search", {"query": query, "role_id": 1})).json()
    client = await gateway.call("tool_search", {"query": query})
    assert answer["client_json"] == client["content"][0]["text"]


async def test_the_playground_searches_once_and_its_times_add_up(
    gateway: RunningGateway, viewer: Person, server_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[SearchRequest] = []
    search = Finder._search

    async def counted(finder: Finder, asked: Any, best: int) -> Any:
        searches.append(asked.request)
        return await search(finder, asked, best)

    monkeypatch.setattr(Finder, "_search", counted)
    times = (await viewer.post("/search", {"query": "what is the weather"})).json()["times"]
    assert [request.queries for request in searches] == [("what is the weather",)]
    steps = times["embed"] + times["index"] + times["score"] + times["rerank"]
    # What is left is writing the answer; each time is rounded.
    assert 0 < steps <= times["total"] + 0.002


async def test_a_tool_that_the_query_names_is_shown_as_it_is_answered(viewer: Person, server_id: int) -> None:
    answer = (await viewer.post("/search", {"query": "get_system_info"})).json()
    first = answer["tools"][0]
    assert (first["name"], first["outcome"]) == ("get_system_info", "found")
    assert "is its name" in first["reason"]


async def test_a_search_for_a_role_or_server_that_is_not_there_is_told(viewer: Person, server_id: int) -> None:
    assert (await viewer.post("/search", {"query": "x", "role_id": 4711})).status_code == 404
    assert (await viewer.post("/search", {"query": "x", "server": "nope"})).status_code == 404
    assert (await viewer.post("/search", {"query": ""})).json()["field"] == "query"


@pytest.mark.parametrize("fault", [None, Fault(status=500)])
async def test_the_playground_says_what_the_reranker_did(
    settings: Settings, tmp_path: Path, fault: Fault | None
) -> None:
    async with RankingServer("jina", judge=lambda _, text: -len(text), fault=fault).running() as server:
        rerank = RerankSettings("server", server.url, budget_ms=10_000)
        async with open_components(replace(settings, rerank=rerank)) as parts:
            await add_local_mcp(parts, tmp_path)
            playground = PlaygroundService(parts.database, parts.finder, settings.search, lambda request, outcome: "{}")
            answer = await playground.search(1, PlaygroundQuery("what is the weather"))
            again = await playground.search(1, PlaygroundQuery("what is the weather"))
    if fault is None:
        assert re.fullmatch(r"The reranker moved \d+ of the best \d+ tools, in \d+ ms\.", answer.reranker)
        assert again.reranker.endswith("tools, as an earlier search had asked it.")
        assert "The reranker moved it from place" in answer.tools[0].reason
    else:
        assert answer.reranker.startswith("The tools are in the order of the index: The reranker at ")
    assert answer.times.rerank > 0
