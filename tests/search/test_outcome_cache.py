"""A search that was made before is answered from memory, and never after what it reads has changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.components import Components, open_components
from gateway.errors import EmbedderUnavailableError
from gateway.search.finder import Finder
from gateway.search.request import SearchRequest
from gateway.settings import SearchSettings, Settings
from tests.support.listed import ListedServer, add_listed, tool
from tests.support.rows import caller_with, rows

GOATS = tool("feed_goats", "Feed the goats in the barn")
HENS = tool("feed_hens", "Feed the hens in the yard")
QUERY = SearchRequest(("feed the animals in the barn",), 5)


@pytest.fixture
async def server(settings: Settings, tmp_path: Path) -> AsyncIterator[ListedServer]:
    search = SearchSettings(threshold=0.0)
    async with open_components(replace(settings, search=search)) as parts:
        yield await add_listed(parts, tmp_path, GOATS)


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[SearchRequest]:
    """The requests that were searched for, in place of answered from memory."""
    made: list[SearchRequest] = []
    search = Finder._search

    async def counted(finder: Finder, asked: Any, best: int) -> Any:
        made.append(asked.request)
        return await search(finder, asked, best)

    monkeypatch.setattr(Finder, "_search", counted)
    return made


async def found(parts: Components, request: SearchRequest = QUERY, *roles: str) -> set[str]:
    outcome = await parts.finder.find(await caller_with(parts, *roles), request)
    return {each.name for each in outcome.tools}


async def test_an_equal_search_is_made_once(server: ListedServer, searches: list[SearchRequest]) -> None:
    caller = await caller_with(server.parts)
    first = await server.parts.finder.find(caller, QUERY)
    assert await server.parts.finder.find(caller, QUERY) is first
    for other in (replace(QUERY, max_results=1), replace(QUERY, queries=("hens",)), replace(QUERY, category="none")):
        await server.parts.finder.find(caller, other)
    assert len(searches) == 4


async def test_what_changes_in_the_catalogue_is_found_by_the_next_search(server: ListedServer) -> None:
    assert await found(server.parts) == {"feed_goats"}
    server.lists(GOATS, HENS)
    await server.sync()
    assert await found(server.parts) == {"feed_goats", "feed_hens"}
    server.lists(tool("feed_goats", "Count the sheep"), HENS)
    await server.sync()
    outcome = await server.parts.finder.find(await caller_with(server.parts), QUERY)
    assert {each.description for each in outcome.tools} == {"Count the sheep", HENS["description"]}
    server.lists(HENS)
    await server.sync()
    assert await found(server.parts) == {"feed_hens"}


async def test_a_change_of_a_role_holds_for_the_next_search(server: ListedServer) -> None:
    url = server.parts.database.url
    await rows(url, "INSERT INTO roles (tenant_id, name, default_visibility) VALUES (1, 'keeper', 'SEARCH')")
    await server.parts.database.execute("refresh_role_tools", 1, None, None)
    assert await found(server.parts, QUERY, "keeper") == {"feed_goats"}
    await rows(url, "UPDATE roles SET default_visibility = 'DENY' WHERE name = 'keeper'")
    await server.parts.database.execute("refresh_role_tools", 1, None, None)
    assert await found(server.parts, QUERY, "keeper") == set()
    assert await found(server.parts) == {"feed_goats"}


async def test_an_answer_by_words_alone_is_not_given_again(
    server: ListedServer, searches: list[SearchRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = await caller_with(server.parts)
    with monkeypatch.context() as broken:

        async def refuse(*_: Any) -> None:
            raise EmbedderUnavailableError("it is away", "wait")

        broken.setattr(server.parts.spaces, "embed_queries", refuse)
        assert (await server.parts.finder.find(caller, QUERY)).notice
        assert (await server.parts.finder.find(caller, QUERY)).notice
    assert (await server.parts.finder.find(caller, QUERY)).notice == ""
    assert len(searches) == 3
