"""Examples that people give tools, and searches that go by them, over a real server and database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.access.tool_names import tool_by_name
from gateway.admin.services.tools.examples import ExampleInput, ExampleService
from gateway.catalog.configuration.apply import ConfigurationUpdate
from gateway.catalog.configuration.change import ApplyOptions
from gateway.catalog.configuration.document import format_configuration, parse_configuration
from gateway.catalog.configuration.export import export_configuration
from gateway.catalog.overrides.tool_overrides import ToolOverrides
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import Components, open_components
from gateway.database.notices import Notice
from gateway.errors import InvalidInputError, NotFoundError
from gateway.guards.configured_guards import ConfiguredGuards
from gateway.search.request import SearchRequest
from gateway.settings import Settings
from tests.support.listed import listed_command, tool
from tests.support.rows import caller_with, rows, value
from tests.support.waiting import until

TOOLS = [
    tool("charge_card", "Creates a payment for the given amount and currency.", amount="the amount"),
    tool("list_events", "Returns the events of a calendar between two dates.", start="the first day"),
    tool("send_message", "Posts a message to a channel.", channel="the channel"),
    tool("read_file", "Reads the content of a file.", path="the path"),
]
# Nobody would find it by its description.
SAID = "settle up with the plumber"


@pytest.fixture
async def shop(parts: Components, tmp_path: Path) -> Components:
    """Four tools."""
    file = tmp_path / "tools.json"
    file.write_text(json.dumps({"tools": TOOLS}))
    command, arguments = listed_command(file)
    server_id = await parts.servers.add(1, ServerDefinition("Shop", "stdio", command=command, args=arguments))
    await parts.sync.run(1, server_id)
    return parts


@pytest.fixture
async def another(shop: Components, settings: Settings) -> AsyncIterator[Components]:
    """The parts of another process on the same database, which hears of what changes."""
    async with open_components(settings) as parts, parts.notices.listening():
        yield parts


def service(parts: Components) -> ExampleService:
    return ExampleService(parts.database, parts.examples, parts.learner)


async def tool_id(parts: Components, name: str = "shop__charge_card") -> int:
    return (await tool_by_name(parts.database, 1, name)).id


async def similarities(parts: Components, query: str = SAID) -> dict[str, float]:
    """The cosine of each tool for a query."""
    explanation = await parts.finder.explain(await caller_with(parts), SearchRequest((query,), 5), 50)
    names = {row["id"]: row["name"] for row in await rows(parts.database.url, "SELECT id, name FROM tools")}
    return {
        names[explained.tool_id]: explained.measured.cosine
        for explained in explanation.tools
        if explained.measured is not None and explained.measured.cosine is not None
    }


async def order(parts: Components, query: str = SAID) -> Sequence[str]:
    return list(await similarities(parts, query))


@pytest.mark.parametrize("index", ["memory", "pgvector"])
async def test_the_next_search_finds_a_tool_by_what_somebody_says_who_means_it(
    shop: Components, settings: Settings, index: str
) -> None:
    search = replace(settings.search, index=index)  # type: ignore[arg-type]
    async with open_components(replace(settings, search=search)) as parts:
        before = await similarities(parts)
        view = await service(parts).add(1, await tool_id(parts), ExampleInput(SAID))
        assert [(each.text, each.source, each.state) for each in view.items] == [(SAID, "admin", "approved")]
        assert view.delayed == ""
        after = await similarities(parts)
        assert after["charge_card"] > before["charge_card"] + 0.1
        assert {name: after[name] for name in before if name != "charge_card"} == pytest.approx(
            {name: before[name] for name in before if name != "charge_card"}
        )
        assert (await order(parts))[0] == "charge_card"

        await service(parts).remove(1, await tool_id(parts), view.items[0].id)
        assert await similarities(parts) == pytest.approx(before, abs=1e-3)


async def test_every_process_finds_it_by_the_next_search(shop: Components, another: Components) -> None:
    before = (await similarities(another))["charge_card"]
    told: list[Notice] = []
    another.notices.subscribe(told.append)
    await service(shop).add(1, await tool_id(shop), ExampleInput(SAID))
    await until(lambda: any(notice.concerns_catalogue for notice in told))
    assert (await similarities(another))["charge_card"] > before + 0.1


async def test_an_example_that_is_given_twice_is_one(shop: Components) -> None:
    wanted = await tool_id(shop)
    await service(shop).add(1, wanted, ExampleInput(SAID))
    view = await service(shop).add(1, wanted, ExampleInput("Settle up, with the plumber!"))
    assert [each.text for each in view.items] == ["Settle up, with the plumber!"]


async def test_a_tool_has_at_most_fifty_and_then_it_is_said_so(shop: Components) -> None:
    wanted = await tool_id(shop)
    for number in range(50):
        await shop.examples.add(1, wanted, f"example number {number}")
    with pytest.raises(InvalidInputError, match="50 examples already"):
        await shop.examples.add(1, wanted, "one more")
    assert len(await shop.examples.list(1, wanted)) == 50


async def test_what_is_not_there_is_said_so(shop: Components) -> None:
    with pytest.raises(NotFoundError, match="no tool 999"):
        await shop.examples.add(1, 999, SAID)
    with pytest.raises(NotFoundError, match="no example 999"):
        await shop.examples.remove(1, await tool_id(shop), 999)


async def test_a_tool_that_says_something_else_is_learnt_anew_with_what_it_says_now(
    shop: Components, tmp_path: Path
) -> None:
    await service(shop).add(1, await tool_id(shop), ExampleInput(SAID))
    learnt = (await similarities(shop))["charge_card"]
    changed = [{**TOOLS[0], "description": "Feeds the goats in the barn."}, *TOOLS[1:]]
    (tmp_path / "tools.json").write_text(json.dumps({"tools": changed}))
    await shop.sync.run(1, await value(shop.database.url, "SELECT id FROM servers"))
    without = (await similarities(shop))["charge_card"]
    assert without < learnt - 0.1
    assert await shop.learner.refresh_all() == 1
    assert (await similarities(shop))["charge_card"] > without + 0.1


async def test_a_tool_that_comes_back_has_its_examples(shop: Components, tmp_path: Path) -> None:
    await service(shop).add(1, await tool_id(shop), ExampleInput(SAID))
    learnt = await similarities(shop)
    server_id = await value(shop.database.url, "SELECT id FROM servers")
    for tools in (TOOLS[1:], TOOLS):
        (tmp_path / "tools.json").write_text(json.dumps({"tools": tools}))
        await shop.sync.run(1, server_id)
    await shop.learner.refresh_all()
    assert await similarities(shop) == pytest.approx(learnt, abs=1e-3)


async def test_examples_are_part_of_a_configuration(shop: Components) -> None:
    async def apply(text: str, *, prune: bool = False) -> list[tuple[str, str]]:
        overrides = ToolOverrides(shop.database, shop.spaces)
        update = ConfigurationUpdate(
            shop.database, shop.servers, overrides, ConfiguredGuards(shop.guards.rules), 1, ApplyOptions(prune=prune)
        )
        changes = await update.apply(parse_configuration(text))
        return [(each.name, each.change) for each in changes if each.section == "example"]

    await service(shop).add(1, await tool_id(shop), ExampleInput(SAID))
    exported = format_configuration(
        await export_configuration(shop.database, shop.servers, ConfiguredGuards(shop.guards.rules), 1)
    )
    assert await apply(exported, prune=True) == [(f"Shop/charge_card: {SAID}", "unchanged")]
    text = "modelgate: 1\nexamples:\n- {tool: Shop/read_file, texts: [look into it]}\n- {tool: Shop/gone, texts: [x]}\n"
    assert await apply(text) == [("Shop/read_file: look into it", "added"), ("Shop/gone", "skipped")]
    assert await apply(text, prune=True) == [
        ("Shop/read_file: look into it", "unchanged"),
        ("Shop/gone", "skipped"),
        (f"Shop/charge_card: {SAID}", "removed"),
    ]


async def test_what_nothing_has_changed_is_not_worked_out_again(shop: Components) -> None:
    await service(shop).add(1, await tool_id(shop), ExampleInput(SAID))
    version = await value(shop.database.url, "SELECT catalogue_version FROM tenants WHERE id = 1")
    assert await shop.learner.refresh_all() == 0
    assert await value(shop.database.url, "SELECT catalogue_version FROM tenants WHERE id = 1") == version


async def test_what_is_taken_away_while_it_is_worked_out_does_not_come_back(shop: Components) -> None:
    wanted = await tool_id(shop)
    before = await similarities(shop)
    for number in range(20):
        view = await service(shop).add(1, wanted, ExampleInput(f"{SAID} {number}"))
        (given,) = view.items
        await shop.database.execute("touch_learning", 1, [wanted])
        await asyncio.gather(shop.learner.refresh_all(), shop.examples.remove(1, wanted, given.id))
        await shop.learner.refresh_all()
        assert await similarities(shop) == pytest.approx(before, abs=1e-3)
