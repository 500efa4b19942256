"""What is learnt, when another model takes over and when it is gone back from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from gateway.access.tool_names import tool_by_name
from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.components import Components, open_components
from gateway.embedding.spaces.space_switch import SpaceSwitch
from gateway.search.learning.usage.pair_store import QueryToolPair
from gateway.search.request import SearchRequest
from gateway.settings import EmbedderSettings, LearnSettings, Settings
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.listed import add_listed, tool
from tests.support.rows import caller_with, rows, value
from tests.support.waiting import until

TOOLS = [
    tool("charge_card", "Creates a payment for the given amount and currency.", amount="the amount"),
    tool("list_events", "Returns the events of a calendar between two dates.", start="the first day"),
    tool("send_message", "Posts a message to a channel.", channel="the channel"),
]
GIVEN = "settle up with the plumber"
USED = "give the currency to the amount of a friend"
DISMISSED = "make a payment"
WAITING = "quiet mountains"
LATER = "square it with the baker"


@pytest.fixture
def ollama() -> Iterator[EmbeddingServer]:
    with EmbeddingServer(models=("nomic-embed-text", "other-model")) as server:
        yield server


@pytest.fixture
def before(settings: Settings, ollama: EmbeddingServer) -> Settings:
    embedder = EmbedderSettings(type="ollama", base_url=ollama.url, standby=False)
    return replace(settings, embedder=embedder, learn=LearnSettings("on"))


@pytest.fixture
async def parts(before: Settings, tmp_path: Path) -> AsyncIterator[Components]:
    """A gateway whose settings name another model than the one with which it has learnt until now."""
    async with open_components(before) as former:
        await add_listed(former, tmp_path, *TOOLS, name="Shop")
        await rows(former.database.url, "UPDATE tools SET approved_hash = content_hash")
        charge = await tool_id(former)
        await former.examples.add(1, charge, GIVEN)
        await say(former, USED, "key 1", "key 2")
        await say(former, DISMISSED, "key 1")
        await say(former, WAITING, "key 1")
        await former.examples.remove(1, charge, await example(former, DISMISSED))
        await former.learner.refresh_all()
        assert await states(former) == {
            GIVEN: "approved",
            USED: "counted",
            DISMISSED: "dismissed",
            WAITING: "waiting",
        }
    async with open_components(replace(before, embedder=replace(before.embedder, model="other-model"))) as opened:
        await opened.spaces.configured_space()
        yield opened


async def tool_id(parts: Components) -> int:
    return (await tool_by_name(parts.database, 1, "shop__charge_card")).id


async def say(parts: Components, text: str, *accounts: str) -> None:
    """Search for it and call the tool."""
    assert parts.use_learning is not None
    recorder = parts.use_learning.recorder
    charge = await tool_id(parts)
    for account in accounts:
        recorder.record(QueryToolPair(1, charge, account, text, 1.0, datetime.now(timezone.utc)))

    async def is_counted() -> bool:
        return recorder.waiting == 0

    await until(is_counted)


async def states(parts: Components) -> dict[str, str]:
    return {each.text: each.state for each in await parts.examples.list(1, await tool_id(parts))}


async def example(parts: Components, text: str) -> int:
    (found,) = [each.id for each in await parts.examples.list(1, await tool_id(parts)) if each.text == text]
    return found


async def similarity(parts: Components, query: str) -> float:
    """The cosine of the tool, with what it has learnt, in the space that serves."""
    wanted = await tool_id(parts)
    explanation = await parts.finder.explain(await caller_with(parts), SearchRequest((query,), 5), 50)
    (found,) = [each.measured for each in explanation.tools if each.tool_id == wanted]
    assert found is not None
    assert found.cosine is not None
    return found.cosine


async def unlearnt(parts: Components, query: str) -> float:
    """The same without what it has learnt."""
    space = await parts.spaces.active_space()
    (vector,) = await parts.spaces.embed_queries_in(space, [query])
    own = await value(
        parts.database.url,
        "SELECT ranking_embedding::text FROM tool_embeddings WHERE tool_id = $1 AND space_id = $2",
        *(await tool_id(parts), space.id),
    )
    return float(sum(a * float(b) for a, b in zip(vector, own.strip("[]").split(","), strict=True)))


async def test_a_new_model_ranks_by_the_examples_and_knows_again_what_was_taken_away(parts: Components) -> None:
    former = (await parts.spaces.active_space()).id
    await VectorFiller(parts.database, parts.spaces, parts.categories).fill()
    await parts.learner.refresh_all()
    space = await parts.spaces.active_space()
    assert (space.space.model, space.id != former) == ("other-model", True)
    for text in (GIVEN, USED):
        assert await similarity(parts, text) > await unlearnt(parts, text) + 0.1
    lacking = (
        "SELECT count(*) FROM tool_examples x WHERE NOT EXISTS (SELECT FROM tool_example_embeddings v "
        "WHERE v.example_id = x.id AND v.space_id = $1)"
    )
    assert await value(parts.database.url, lacking, space.id) == 0

    # In other words nearly the same, so that it is by its vector that it is known.
    await say(parts, "make payment", "key 3", "key 4")
    assert "make payment" not in await states(parts)
    assert (await states(parts))[DISMISSED] == "dismissed"

    await parts.examples.approve(1, await tool_id(parts), await example(parts, WAITING))
    await parts.learner.refresh_all()
    assert await similarity(parts, WAITING) > await unlearnt(parts, WAITING) + 0.1
    await parts.examples.add(1, await tool_id(parts), LATER)
    await parts.learner.refresh_all()
    assert await similarity(parts, LATER) > await unlearnt(parts, LATER) + 0.1


async def test_what_was_said_under_a_new_model_holds_when_it_is_gone_back_from(parts: Components) -> None:
    await VectorFiller(parts.database, parts.spaces, parts.categories).fill()
    await parts.learner.refresh_all()
    await parts.examples.approve(1, await tool_id(parts), await example(parts, WAITING))
    await parts.examples.add(1, await tool_id(parts), LATER)
    await say(parts, "bill a friend for the amount", "key 1", "key 2")
    await parts.learner.refresh_all()
    await SpaceSwitch(parts.spaces.store).switch()
    assert (await parts.spaces.active_space()).space.model == "nomic-embed-text"
    for text in (GIVEN, USED, WAITING, LATER, "bill a friend for the amount"):
        assert await similarity(parts, text) > await unlearnt(parts, text) + 0.05
