"""Pairs of searches and calls, counted in a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gateway.access.tenants import create_tenant
from gateway.catalog.examples.tool_examples import MAX_EXAMPLES, ToolExample, ToolExamples
from gateway.database.connection import DatabaseConnection
from gateway.embedding.embedder import Vectors
from gateway.embedding.spaces.space_store import SpaceStore, StoredSpace
from gateway.errors import TextRefusedError
from gateway.search.learning import forgetting
from gateway.search.learning.example_vectors import ExampleVectors
from gateway.search.learning.example_weight import ExampleRules
from gateway.search.learning.forgetting import ForgetScope, Forgetting, ForgottenTexts
from gateway.search.learning.learner import Learner
from gateway.search.learning.usage.pair_recorder import PairRecorder
from gateway.search.learning.usage.pair_store import EmbeddedPair, PairStore, QueryToolPair
from gateway.search.ranking import Floats
from gateway.settings import Settings
from tests.support.indexed_catalogue import TENANT, CataloguedTool, FixedSpaces, IndexedCatalogue, indexed_catalogue
from tests.support.rows import rows, value

ON = ExampleRules("on")
FEED = CataloguedTool("farm", "feed_cat", "Feed the cat")
SAIL = CataloguedTool("sea", "sail", "Sail a boat", vector=(0.0, 0.0, 1.0, 0.0))
NOW = datetime.now(timezone.utc).replace(hour=12)
NEAR = np.array([0.6, 0.8, 0, 0], np.float32)
FAR = np.array([0, 1, 0, 0], np.float32)


@dataclass
class Farm:
    catalogue: IndexedCatalogue
    examples: ToolExamples

    def pair(self, text: str, account: str = "key 1", days: float = 0, tool: CataloguedTool = FEED) -> QueryToolPair:
        tool_id = self.catalogue.ids[tool.exposed_name]
        return QueryToolPair(TENANT, tool_id, account, text, 1.0, NOW - timedelta(days=days))

    async def count(self, pair: QueryToolPair, vector: Floats = NEAR, rules: ExampleRules = ON) -> bool:
        return bool(await self.count_all([EmbeddedPair(pair, vector)], rules))

    async def count_all(self, pairs: Sequence[EmbeddedPair], rules: ExampleRules = ON) -> set[int]:
        return await PairStore(self.catalogue.database, rules).count(TENANT, pairs, self.catalogue.space)

    async def list(self, tool: CataloguedTool = FEED) -> tuple[ToolExample, ...]:
        return await self.examples.list(TENANT, self.catalogue.ids[tool.exposed_name])

    async def learn(self, rules: ExampleRules = ON) -> int:
        """How many examples have effect in all."""
        await Learner(self.catalogue.database, self.catalogue.spaces, rules).refresh_all()
        url = self.catalogue.database.url
        found: int = await value(url, "SELECT coalesce(sum(examples), 0)::int FROM learnt_embeddings")
        assert bool(found) == await value(
            url, "SELECT EXISTS (SELECT FROM learnt_embeddings WHERE ranking_embedding IS NOT NULL)"
        )
        return found

    def forgetting(self) -> Forgetting:
        return Forgetting(self.catalogue.database, self.examples)


@pytest.fixture
async def farm(settings: Settings) -> AsyncIterator[Farm]:
    async with indexed_catalogue(settings) as catalogue:
        await catalogue.upsert(FEED, SAIL)
        await rows(catalogue.database.url, "UPDATE tools SET approved_hash = content_hash")
        yield Farm(catalogue, ToolExamples(catalogue.database))


async def test_it_has_effect_from_the_second_caller_on(farm: Farm) -> None:
    assert not await farm.count(farm.pair("give it to the tiger"))
    assert await farm.learn() == 0
    assert await farm.count(farm.pair("Give it to the tiger!", "key 2"))
    assert await farm.learn() == 1
    (example,) = await farm.list()
    assert (example.text, example.calls, example.callers) == ("give it to the tiger", 2, 2)


async def test_it_has_effect_from_the_third_call_on_and_an_account_counts_once_a_day(farm: Farm) -> None:
    for days in (2, 1):
        for _ in range(5):
            await farm.count(farm.pair("give it to the tiger", days=days))
    assert await farm.learn() == 0
    (example,) = await farm.list()
    assert (example.calls, example.callers) == (2, 1)
    assert await farm.count(farm.pair("give it to the tiger"))
    assert await farm.learn() == 1


@pytest.mark.parametrize("length", [1.0, 2.0])
async def test_texts_that_say_nearly_the_same_are_one(farm: Farm, length: float) -> None:
    # The built-in model's vector of a query in a language that it reads less well is up to twice as long.
    await farm.count(farm.pair("give it to the tiger"), length * NEAR)
    assert await farm.count(farm.pair("hand it to the tiger", "key 2"), length * NEAR)
    await farm.count(farm.pair("sail around the world"), length * FAR)
    assert sorted((each.text, each.calls) for each in await farm.list()) == [
        ("give it to the tiger", 2),
        ("sail around the world", 1),
    ]


async def test_what_has_little_to_do_with_the_tool_waits_until_an_admin_says_that_it_is_meant(farm: Farm) -> None:
    for key in range(5):
        await farm.count(farm.pair("win the war", f"key {key}"), FAR)
    (example,) = await farm.list()
    assert example.state == "waiting"
    assert await farm.learn() == 0
    await farm.examples.approve(TENANT, example.tool_id, example.id)
    assert await farm.learn() == 1


async def test_what_an_admin_has_taken_away_is_not_learnt_again(farm: Farm) -> None:
    for key in range(2):
        await farm.count(farm.pair("give it to the tiger", f"key {key}"))
    (example,) = await farm.list()
    await farm.examples.remove(TENANT, example.tool_id, example.id)
    for key in range(5):
        await farm.count(farm.pair("give it to the tiger", f"key {key}", days=-1))
    assert [each.state for each in await farm.list()] == ["dismissed"]
    assert await farm.learn() == 0


@pytest.mark.parametrize("mode", ["off", "observe"])
async def test_what_is_only_observed_is_counted_and_has_no_effect(farm: Farm, mode: str) -> None:
    rules = ExampleRules(mode)  # type: ignore[arg-type]
    for key in range(5):
        assert not await farm.count(farm.pair("give it to the tiger", f"key {key}"), rules=rules)
    assert await farm.learn(rules) == 0
    # Once it is switched on it has, and no longer when it is switched off again.
    assert await farm.learn(ON) == 1
    assert await farm.learn(rules) == 0


async def test_a_tool_has_room_for_fifty_and_keeps_those_that_are_used(farm: Farm) -> None:
    random = np.random.default_rng(0)
    for key in range(2):
        await farm.count(farm.pair("give it to the tiger", f"key {key}"))
    for number in range(MAX_EXAMPLES + 10):
        vector = random.normal(size=4).astype(np.float32)
        await farm.count(farm.pair(f"say {number}", days=100 - number), vector / np.linalg.norm(vector) * 0.9)
    kept = await farm.list()
    assert len(kept) == MAX_EXAMPLES
    assert "give it to the tiger" in {each.text for each in kept}


async def test_a_tool_that_is_not_as_it_was_approved_loses_what_was_learnt_from_use(farm: Farm) -> None:
    url, tool_id = farm.catalogue.database.url, farm.pair("x").tool_id
    for key in range(2):
        await farm.count(farm.pair("give it to the tiger", f"key {key}"))
    await farm.examples.add(TENANT, tool_id, "feed my pet")
    assert await farm.learn() == 2
    await rows(url, "UPDATE tools SET content_hash = 'changed'")
    assert await farm.learn() == 1
    await rows(url, "UPDATE tools SET approved_hash = content_hash")
    assert await farm.learn() == 2


async def test_nothing_is_counted_of_a_tool_that_is_gone(farm: Farm) -> None:
    pair = farm.pair("give it to the tiger")
    await farm.catalogue.hide(FEED.exposed_name)
    assert not await farm.count(pair)
    assert not await farm.count(replace(pair, tool_id=999))
    assert await value(farm.catalogue.database.url, "SELECT count(*) FROM tool_examples") == 0


async def _two_tools_said_by_two(farm: Farm) -> None:
    for tool in (FEED, SAIL):
        vector = NEAR if tool is FEED else np.array([0, 0.8, 0.6, 0], np.float32)
        for key in (1, 2):
            await farm.count(farm.pair("both say this", f"key {key}", days=key, tool=tool), vector)
    await farm.count(farm.pair("one says this", "key 1", days=1), np.array([0.6, 0, 0, 0.8], np.float32))
    assert await farm.learn() == 2


@pytest.mark.parametrize(
    ("scope", "left"),
    [
        (ForgetScope(), 0),
        (ForgetScope(account="key 1"), 2),
        (ForgetScope(before=NOW - timedelta(days=1.5)), 3),
        (ForgetScope(account="key 3"), 3),
    ],
)
async def test_what_is_forgotten_has_no_effect_and_is_gone(farm: Farm, scope: ForgetScope, left: int) -> None:
    await _two_tools_said_by_two(farm)
    forgotten = await farm.forgetting().forget(TENANT, scope)
    url = farm.catalogue.database.url
    assert forgotten.gone == 3 - left
    assert await value(url, "SELECT count(*) FROM tool_examples") == left
    touched = scope.account != "key 3"
    # Before anybody has worked anything out, too.
    assert await value(url, "SELECT count(*) FROM learnt_embeddings WHERE ranking_embedding IS NOT NULL") == (
        0 if touched else 2
    )
    assert await farm.learn() == (0 if touched else 2)


async def test_one_tool_is_forgotten_and_the_other_is_not(farm: Farm) -> None:
    await _two_tools_said_by_two(farm)
    assert (await farm.forgetting().forget(TENANT, ForgetScope(tool_id=farm.pair("x").tool_id))).gone == 2
    assert (len(await farm.list(FEED)), len(await farm.list(SAIL))) == (0, 1)
    assert await farm.learn() == 1


async def test_what_was_searched_for_before_is_not_learnt_after_it_was_to_be_forgotten(farm: Farm) -> None:
    await farm.forgetting().forget(TENANT, ForgetScope(account="key 1", before=NOW))
    for key in (1, 2):
        await farm.count(farm.pair("give it to the tiger", f"key {key}", days=1))
    (example,) = await farm.list()
    assert example.callers == 1
    # What it says later is.
    await farm.count(farm.pair("give it to the tiger", "key 1", days=-1))
    (example,) = await farm.list()
    assert example.callers == 2


async def test_what_people_gave_is_not_forgotten_with_what_was_learnt_from_use(farm: Farm) -> None:
    await farm.examples.add(TENANT, farm.pair("x").tool_id, "feed my pet")
    assert await farm.forgetting().forget(TENANT, ForgetScope()) == ForgottenTexts(0, 0)
    assert await farm.learn() == 1


async def test_another_tenant_forgets_nothing_of_this_one_and_a_tenant_that_goes_takes_all_with_it(farm: Farm) -> None:
    await _two_tools_said_by_two(farm)
    database = farm.catalogue.database
    other = await create_tenant(database, "other", "Other")
    assert await farm.forgetting().forget(other.id, ForgetScope()) == ForgottenTexts(0, 0)
    assert await farm.learn() == 2
    await rows(database.url, "DELETE FROM tenants WHERE id = $1", TENANT)
    for table in ("tool_examples", "tool_example_callers", "tool_example_embeddings", "learnt_embeddings"):
        assert await value(database.url, f"SELECT count(*) FROM {table} WHERE tenant_id = 1") == 0


async def test_nobody_raises_a_tool_by_saying_one_thing_again_and_again(farm: Farm) -> None:
    for number in range(30):
        # In other words each time, and yet the same.
        await farm.count(farm.pair(f"give it to the tiger {number}"), NEAR)
    (example,) = await farm.list()
    assert (example.calls, example.callers) == (1, 1)
    assert await farm.learn() == 0


async def test_two_processes_that_count_at_once_lose_nothing(farm: Farm) -> None:
    pairs = [farm.pair("give it to the tiger", f"key {key}") for key in range(12)]
    await asyncio.gather(*(farm.count(pair) for pair in pairs))
    (example,) = await farm.list()
    assert (example.calls, example.callers) == (12, 12)


async def test_a_tool_that_has_as_many_examples_as_it_may_still_learns(farm: Farm) -> None:
    nowhere = np.zeros(4, np.float32)
    for number in range(MAX_EXAMPLES):
        await farm.count(farm.pair(f"say {number}", "key 9", days=2), nowhere)
    for key in range(2):
        await farm.count(farm.pair("give it to the tiger", f"key {key}"), nowhere)
    kept = {each.text: each for each in await farm.list()}
    assert len(kept) == MAX_EXAMPLES
    assert kept["give it to the tiger"].callers == 2
    assert "say 0" not in kept


async def test_what_was_taken_away_stays_so_however_much_is_said_later(farm: Farm) -> None:
    await farm.count(farm.pair("give it to the tiger"))
    (example,) = await farm.list()
    await farm.examples.remove(TENANT, example.tool_id, example.id)
    for number in range(MAX_EXAMPLES + 2):
        await farm.count(farm.pair(f"say {number}", "key 9"), np.zeros(4, np.float32))
    states = [each.state for each in await farm.list()]
    assert states.count("dismissed") == 1
    assert len(states) == MAX_EXAMPLES + 1


async def test_what_the_model_refuses_keeps_no_other_example_from_having_effect(farm: Farm) -> None:
    class Refusing(FixedSpaces):
        async def embed_queries_in(self, stored: StoredSpace, texts: Sequence[str]) -> Vectors:
            if "tiger" in texts[0]:
                raise TextRefusedError("Text 1 of 1 cannot be embedded", "say it in other words")
            return await super().embed_queries_in(stored, texts)

    database, space = farm.catalogue.database, farm.catalogue.space
    learner = Learner(database, Refusing(space, SpaceStore(database)), ON)
    for tool, text in ((FEED, "give it to the tiger"), (FEED, "give it to the lion"), (SAIL, "go to sea")):
        await farm.examples.add(TENANT, farm.catalogue.ids[tool.exposed_name], text)
    assert "cannot be embedded" in await learner.refresh(TENANT, farm.catalogue.ids[FEED.exposed_name])
    await learner.refresh_all()
    assert await farm.catalogue.database.fetchval("tools_raised", TENANT, space.id) == 2
    assert await learner.refresh_all() == 0


async def test_many_at_once_are_counted_as_one_after_the_other(farm: Farm) -> None:
    said = [
        ("give it to the tiger", NEAR, "key 1", 3),
        ("Give it to the tiger!", NEAR, "key 1", 3),
        ("hand it to the tiger", NEAR, "key 2", 2),
        ("give it to the tiger", NEAR, "key 1", 2),
        # Out of order: that day is over.
        ("give it to the tiger", NEAR, "key 1", 3),
        ("sail around the world", FAR, "key 1", 1),
        ("give it to the tiger", NEAR, "key 1", 1),
    ]

    async def counted() -> list[tuple[str, str, float, int, int]]:
        return sorted((each.text, each.state, each.count, each.calls, each.callers) for each in await farm.list())

    pairs = [EmbeddedPair(farm.pair(text, account, days), vector) for text, vector, account, days in said]
    for each in pairs:
        await farm.count_all([each])
    one_by_one = await counted()
    await rows(farm.catalogue.database.url, "DELETE FROM tool_examples")
    assert await farm.count_all(pairs) == {pairs[0].pair.tool_id}
    assert await counted() == one_by_one
    assert one_by_one == [
        ("give it to the tiger", "counted", 4.0, 4, 2),
        ("sail around the world", "waiting", 1.0, 1, 1),
    ]
    # Whatever comes again, and half of it in another process, counts no more.
    await asyncio.gather(farm.count_all(pairs[:4]), farm.count_all(pairs[3:]))
    assert await counted() == one_by_one


async def test_thousands_of_pairs_are_counted_in_a_few_transactions(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Meaning(FixedSpaces):
        """A text means what its last number says."""

        async def active_space(self) -> StoredSpace:
            return self.stored

        async def embed_queries_in(self, stored: StoredSpace, texts: Sequence[str]) -> Vectors:
            return np.stack(
                [np.eye(4, dtype=np.float32)[int(text[-1])] if text[-1:].isdigit() else FAR for text in texts]
            )

    database = farm.catalogue.database
    spaces = Meaning(farm.catalogue.space, SpaceStore(database))
    learner = Learner(database, spaces, ON)
    statements: list[str] = []
    run = DatabaseConnection._run

    async def counted(self: DatabaseConnection, method: Any, name: str, *args: Any, **more: Any) -> Any:
        statements.append(name)
        return await run(self, method, name, *args, **more)

    monkeypatch.setattr(DatabaseConnection, "_run", counted)
    async with PairRecorder(PairStore(database, ON), ExampleVectors(database, spaces), learner, spaces) as recorder:
        for number in range(12_000):
            # In other words each time, which is what takes most.
            text = f"say in words of number {number} what is {number % 3}"
            recorder.record(farm.pair(text, f"key {number // 6}", tool=SAIL if number // 3 % 2 else FEED))
        assert (recorder.waiting, recorder.dropped) == (10_000, 2_000)
    assert await rows(database.url, "SELECT count(*), sum(calls) FROM tool_examples") == [(6, 10_000)]
    batches = statements.count("lock_tenant")
    # One for what is learnt of each tool, and 500 pairs in each of the others.
    assert batches <= 20 + 2
    assert len(statements) < 15 * 22


async def test_of_who_is_forgotten_the_words_go_and_what_others_said_stays_in_theirs(farm: Farm) -> None:
    said = [
        ("the tiger of Anna is hungry", "key 1", 3),
        ("hand it to the tiger", "key 2", 2),
        ("a big cat", "key 3", 1),
    ]
    for text, account, days in said:
        await farm.count(farm.pair(text, account, days))
    assert await farm.learn() == 1
    await farm.forgetting().forget(TENANT, ForgetScope(account="key 1"))
    (example,) = await farm.list()
    assert (example.text, example.count, example.calls, example.callers) == ("hand it to the tiger", 2.0, 2, 2)
    assert example.first_seen_at == farm.pair("", days=2).at
    url = farm.catalogue.database.url
    assert await value(url, "SELECT count(*) FROM tool_example_callers WHERE text LIKE '%Anna%'") == 0
    # It is embedded anew, in the words that it has now.
    assert await value(url, "SELECT count(*) FROM tool_example_embeddings") == 0
    assert await farm.learn() == 1
    assert await farm.forgetting().forget(TENANT, ForgetScope(account="key 3")) == ForgottenTexts(0, 1)
    (example,) = await farm.list()
    assert (example.text, example.last_seen_at) == ("hand it to the tiger", farm.pair("", days=2).at)
    assert await farm.learn() == 0


async def test_the_vector_of_words_that_are_forgotten_while_they_are_embedded_is_not_kept(farm: Farm) -> None:
    class Slow(FixedSpaces):
        """Whoever said it first is forgotten while it is embedded."""

        async def embed_queries_in(self, stored: StoredSpace, texts: Sequence[str]) -> Vectors:
            embedded.append(*texts)
            await farm.forgetting().forget(TENANT, ForgetScope(account="key 1"))
            return np.stack([NEAR])

    embedded: list[str] = []
    await farm.count(farm.pair("the tiger of Anna is hungry", "key 1", days=1))
    await farm.count(farm.pair("hand it to the tiger", "key 2"))
    url, tools = farm.catalogue.database.url, [farm.pair("").tool_id]
    # As in a space that is new.
    await rows(url, "DELETE FROM tool_example_embeddings")
    vectors = ExampleVectors(farm.catalogue.database, Slow(farm.catalogue.space, farm.catalogue.spaces.store))
    await vectors.fill(farm.catalogue.space, TENANT, tools)
    assert [each.text for each in await farm.list()] == ["hand it to the tiger"]
    assert await value(url, "SELECT count(*) FROM tool_example_embeddings") == 0
    await vectors.fill(farm.catalogue.space, TENANT, tools)
    assert embedded == ["the tiger of Anna is hungry", "hand it to the tiger"]
    assert await value(url, "SELECT count(*) FROM tool_example_embeddings") == 1


async def test_words_that_the_model_refuses_do_not_keep_those_that_come_in_their_place_from_being_embedded(
    farm: Farm,
) -> None:
    class Particular(FixedSpaces):
        """Refuses what is said of Anna."""

        async def embed_queries_in(self, stored: StoredSpace, texts: Sequence[str]) -> Vectors:
            if any("Anna" in text for text in texts):
                raise TextRefusedError("The model refuses that", "say it in other words")
            return np.stack([NEAR])

    await farm.count(farm.pair("the tiger of Anna is hungry", "key 1", days=1))
    await farm.count(farm.pair("hand it to the tiger", "key 2"))
    url, tools = farm.catalogue.database.url, [farm.pair("").tool_id]
    await rows(url, "DELETE FROM tool_example_embeddings")
    vectors = ExampleVectors(farm.catalogue.database, Particular(farm.catalogue.space, farm.catalogue.spaces.store))
    await vectors.fill(farm.catalogue.space, TENANT, tools)
    await farm.forgetting().forget(TENANT, ForgetScope(account="key 1"))
    await vectors.fill(farm.catalogue.space, TENANT, tools)
    assert await value(url, "SELECT count(*) FROM tool_example_embeddings") == 1


async def test_what_a_gateway_whose_clock_is_ahead_is_told_to_forget_is_not_learnt_later(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = datetime.now(timezone.utc) + timedelta(hours=1)
    ahead = SimpleNamespace(now=lambda zone: datetime.now(zone) + timedelta(hours=1))
    pair = replace(farm.pair("give it to the tiger"), at=searched)
    monkeypatch.setattr(forgetting, "datetime", ahead)
    await farm.forgetting().forget(TENANT, ForgetScope())
    await farm.count(pair)
    assert await farm.list() == ()


async def test_words_that_another_example_has_already_are_not_taken_twice(farm: Farm) -> None:
    await farm.count(farm.pair("the tiger of Anna is hungry", "key 1"))
    await farm.count(farm.pair("hand it to the tiger", "key 2"))
    # An admin gives the same words, which are near enough for no example of their own only where calls say them.
    await farm.examples.add(TENANT, farm.pair("").tool_id, "hand it to the tiger")
    assert await farm.forgetting().forget(TENANT, ForgetScope(account="key 1")) == ForgottenTexts(1, 0)
    assert [(each.text, each.source) for each in await farm.list()] == [("hand it to the tiger", "admin")]


async def test_words_that_an_earlier_version_did_not_note_stay(farm: Farm) -> None:
    for account in ("key 1", "key 2"):
        await farm.count(farm.pair("give it to the tiger", account))
    await rows(farm.catalogue.database.url, "UPDATE tool_example_callers SET text = NULL, text_key = NULL")
    await farm.forgetting().forget(TENANT, ForgetScope(account="key 1"))
    (example,) = await farm.list()
    assert (example.text, example.callers) == ("give it to the tiger", 1)
