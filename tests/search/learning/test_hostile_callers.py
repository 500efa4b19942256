"""Callers that try to raise or sink a tool by what they search for before they call it, with the builtin model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from gateway.access.tool_names import tool_by_name
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import Components
from gateway.search.learning.example_weight import ExampleRules
from gateway.search.learning.learner import Learner
from gateway.search.learning.usage.pair_store import EmbeddedPair, PairStore, QueryToolPair
from gateway.search.request import SearchRequest
from tests.support.listed import listed_command, tool
from tests.support.rows import caller_with, rows

TOOLS = [
    tool("charge_card", "Creates a payment for the given amount and currency.", amount="the amount"),
    tool("list_events", "Returns the events of a calendar between two dates.", start="the first day"),
    tool("send_message", "Posts a message to a channel.", channel="the channel"),
    tool("run", "Runs a command in a shell and returns what it prints.", command="the command"),
]
PAYMENTS = (
    "charge the card for 20 euros",
    "create a payment of 5 dollars",
    "take a payment from the customer",
    "bill the customer 120 euros",
)
MEETINGS = ("which events are in my calendar", "what is on the calendar next week", "show the events of monday")
# What the shell is called for, and whatever a hostile caller has others ask for.
ANYTHING = [
    f"{verb} {thing}"
    for verb in ("find", "count", "print", "run a command to list", "show what a command prints of")
    for thing in ("payments", "events of the calendar", "messages", "the disk", "a card", "dates", "a channel", "money")
]
RULES = ExampleRules("on")
MALLORY = "key 66"


class Shop:
    """The tools, and calls that were made after searches for them on each of three days."""

    def __init__(self, parts: Components) -> None:
        self._parts = parts

    async def said(self, account: str, name: str, texts: Sequence[str]) -> None:
        parts = self._parts
        space = await parts.spaces.active_space()
        tool_id = (await tool_by_name(parts.database, 1, f"shop__{name}")).id
        vectors = await parts.spaces.embed_queries_in(space, texts)
        now = datetime.now(timezone.utc)
        pairs = [
            EmbeddedPair(QueryToolPair(1, tool_id, account, text, 1.0, now - timedelta(days=day)), vector)
            for day in (2, 1, 0)
            for text, vector in zip(texts, vectors, strict=True)
        ]
        await PairStore(parts.database, RULES).count(1, pairs, space)
        await Learner(parts.database, parts.spaces, RULES).refresh_all()

    async def cosines(self, query: str) -> Mapping[str, float]:
        """Of each tool."""
        explanation = await self._parts.finder.explain(await caller_with(self._parts), SearchRequest((query,), 5), 50)
        names = {row["id"]: row["name"] for row in await rows(self._parts.database.url, "SELECT id, name FROM tools")}
        return {
            names[each.tool_id]: each.measured.cosine
            for each in explanation.tools
            if each.measured is not None and each.measured.cosine is not None
        }

    async def first(self, query: str) -> str:
        cosines = await self.cosines(query)
        return max(cosines, key=lambda name: cosines[name])

    async def examples(self) -> int:
        found: int = await self._parts.database.fetchval(
            "tools_raised", 1, (await self._parts.spaces.active_space()).id
        )
        return found


@pytest.fixture
async def shop(parts: Components, tmp_path: Path) -> Shop:
    file = tmp_path / "tools.json"
    file.write_text(json.dumps({"tools": TOOLS}))
    command, arguments = listed_command(file)
    server_id = await parts.servers.add(1, ServerDefinition("Shop", "stdio", command=command, args=arguments))
    await parts.sync.run(1, server_id)
    return Shop(parts)


async def test_one_caller_with_many_texts_moves_a_tool_no_further_than_one_example_does(shop: Shop) -> None:
    text = "run a command to list payments"
    before = (await shop.cosines(text))["run"]
    await shop.said(MALLORY, "run", [text])
    with_one = (await shop.cosines(text))["run"]
    assert with_one > before + 0.05
    await shop.said(MALLORY, "run", ANYTHING)
    for each in ANYTHING:
        assert (await shop.cosines(each))["run"] <= with_one
    # A second caller who says the same counts as another one.
    with_many = (await shop.cosines(text))["run"]
    await shop.said("key 1", "run", [text])
    assert (await shop.cosines(text))["run"] > with_many


async def test_one_caller_raises_its_tool_above_no_other(shop: Shop) -> None:
    asked = {**dict.fromkeys(PAYMENTS, "charge_card"), **dict.fromkeys(MEETINGS, "list_events")}
    assert {query: await shop.first(query) for query in asked} == asked
    await shop.said(MALLORY, "run", [f"please {text}" for text in asked] + ANYTHING)
    assert await shop.examples() == 1
    assert {query: await shop.first(query) for query in asked} == asked


async def test_one_caller_sinks_no_tool_of_others(shop: Shop) -> None:
    for account in ("key 1", "key 2"):
        await shop.said(account, "charge_card", PAYMENTS[:2])
    asked = dict.fromkeys(PAYMENTS, "charge_card")
    assert {query: await shop.first(query) for query in asked} == asked
    await shop.said(MALLORY, "charge_card", ANYTHING)
    assert {query: await shop.first(query) for query in asked} == asked


async def test_a_shell_that_is_called_for_everything_by_everybody_does_not_take_over(shop: Shop) -> None:
    asked = {**dict.fromkeys(PAYMENTS, "charge_card"), **dict.fromkeys(MEETINGS, "list_events")}
    for number in range(10):
        await shop.said(f"key {number}", "run", ANYTHING)
    assert await shop.examples() == 1
    assert {query: await shop.first(query) for query in asked} == asked
