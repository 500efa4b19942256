"""What searches know of a catalogue beforehand, with notices of its changes and without."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.app import Components
from gateway.database.notices import Notices
from gateway.embedding.spaces import Spaces
from gateway.search.catalog_statistics import CatalogStatistics
from gateway.search.finder import Finder
from gateway.search.request import SearchRequest
from gateway.settings import SearchSettings
from tests.support.database_proxy import DatabaseProxy
from tests.support.listed import add_listed, tool
from tests.support.rows import caller_with
from tests.support.waiting import until

ROLES = (1,)


@dataclass(frozen=True, slots=True)
class OtherProcess:
    """The search of a process that hears of changes through a proxy only."""

    proxy: DatabaseProxy
    notices: Notices
    statistics: CatalogStatistics
    finder: Finder


@asynccontextmanager
async def other_process(parts: Components) -> AsyncIterator[OtherProcess]:
    proxy = DatabaseProxy(parts.database)
    async with proxy.running():
        database = proxy.database
        notices = Notices(database)
        spaces = Spaces(database, parts.spaces.embedder, parts.settings.embedder, notices)
        statistics = CatalogStatistics(database, spaces, notices)
        finder = Finder(database, spaces, statistics, SearchSettings(threshold=0.0))
        async with notices.listening():
            yield OtherProcess(proxy, notices, statistics, finder)
        await statistics.aclose()


async def total_found(parts: Components, finder: Finder) -> int:
    outcome = await finder.find(await caller_with(parts), SearchRequest(("calculate",), 5))
    return outcome.total_found


async def test_what_is_known_of_a_catalogue_is_read_once_until_it_changes(parts: Components, tmp_path: Path) -> None:
    server = await add_listed(parts, tmp_path, tool("calculator", "Perform mathematical calculations"))
    async with other_process(parts) as other:
        before = await other.statistics.visible_tools(1, ROLES), await other.statistics.lexical(1)
        again = await other.statistics.visible_tools(1, ROLES), await other.statistics.lexical(1)
        assert (before[0] is again[0], before[1] is again[1]) == (True, True)
        server.lists(tool("calculator", "Perform mathematical calculations"), tool("get_weather", "The weather"))
        await server.sync()

        async def two() -> bool:
            return (await other.statistics.visible_tools(1, ROLES)).count == 2

        await until(two)
        assert (await other.statistics.lexical(1)).tool_count == 2


async def test_while_the_listener_cannot_reconnect_every_search_sees_the_catalogue_as_it_is(
    parts: Components, tmp_path: Path
) -> None:
    server = await add_listed(parts, tmp_path, tool("calculator", "Perform mathematical calculations"))
    async with other_process(parts) as other:
        assert await total_found(parts, other.finder) == 1
        other.proxy.close()
        await until(lambda: not other.notices.connected)
        listed = [tool("calculator", "Perform mathematical calculations")]
        for step in range(3):
            listed.append(tool(f"calculate_{step}", f"Calculate the number {step}"))
            server.lists(*listed)
            await server.sync()
            assert await total_found(parts, other.finder) == len(listed)
        other.proxy.open()
        await until(lambda: other.notices.connected)
        assert await total_found(parts, other.finder) == len(listed)
        kept = await other.statistics.visible_tools(1, ROLES)
        assert kept is await other.statistics.visible_tools(1, ROLES)


async def test_a_calibration_follows_the_catalogue_while_no_notices_come_in(parts: Components, tmp_path: Path) -> None:
    server = await add_listed(parts, tmp_path, tool("calculator", "Perform mathematical calculations"))
    async with other_process(parts) as other:
        space = await parts.spaces.active_space()
        before = await other.statistics.calibration(1, space)
        other.proxy.close()
        await until(lambda: not other.notices.connected)
        server.lists(tool("calculator", "Perform mathematical calculations"), tool("get_weather", "The weather"))
        await server.sync()

        async def followed() -> bool:
            return await other.statistics.calibration(1, space) != before

        await until(followed)


async def test_roles_that_see_many_tools_are_given_no_ids_of_them(parts: Components, tmp_path: Path) -> None:
    await add_listed(parts, tmp_path, *(tool(f"tool_{step}", "Does something") for step in range(3)))
    few = CatalogStatistics(parts.database, parts.spaces, parts.notices, exact_tools=3)
    many = CatalogStatistics(parts.database, parts.spaces, parts.notices, exact_tools=2)
    with_ids, without = await few.visible_tools(1, ROLES), await many.visible_tools(1, ROLES)
    assert (with_ids.count, len(with_ids.ids or ())) == (3, 3)
    assert (without.count, without.ids) == (3, None)
    assert with_ids.bitmap == without.bitmap
